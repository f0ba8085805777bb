"""Expected values for shared/models/stories3M-Q8_0.gguf: the weights as the `gguf` package decodes them, the Llama
forward pass in float64 numpy. (shared/models/golden/stories3M.json was computed from another quantisation of the same
model, in groups of 64: its logits are up to 2.4 % of a standard deviation away from this file's.)

    pip install numpy gguf
    python make_stories3m.py SHARED_MODELS OUT.json
"""
import json, pathlib, sys
import numpy as np, gguf
from gguf.quants import dequantize

HEADS, KV_HEADS, HEAD_DIM, LAYERS, EPS, THETA, NEW = 6, 2, 32, 6, 1e-5, 1e4, 48


def main():
    models, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    reader = gguf.GGUFReader(models / "stories3M-Q8_0.gguf")
    w = {t.name: dequantize(t.data, t.tensor_type).astype(np.float64).reshape(tuple(reversed(t.shape.tolist())))
         for t in reader.tensors}

    def norm(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight

    def logits(ids):
        n = len(ids)
        x = w["token_embd.weight"][ids]
        angle = np.arange(n)[:, None] * THETA ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

        def rope(v, heads):
            v = v.reshape(n, heads, HEAD_DIM // 2, 2)
            a, b = v[..., 0], v[..., 1]
            return np.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(n, heads, HEAD_DIM)

        for i in range(LAYERS):
            layer = lambda name: w[f"blk.{i}.{name}.weight"]
            h = norm(x, layer("attn_norm"))
            q, k = rope(h @ layer("attn_q").T, HEADS), rope(h @ layer("attn_k").T, KV_HEADS)
            v = (h @ layer("attn_v").T).reshape(n, KV_HEADS, HEAD_DIM)
            o = np.zeros((n, HEADS, HEAD_DIM))
            for head in range(HEADS):
                kv = head // (HEADS // KV_HEADS)
                score = q[:, head] @ k[:, kv].T / np.sqrt(HEAD_DIM)
                score = np.where(np.tril(np.ones((n, n))) > 0, score, -np.inf)
                p = np.exp(score - score.max(-1, keepdims=True))
                o[:, head] = p / p.sum(-1, keepdims=True) @ v[:, kv]
            x = x + o.reshape(n, -1) @ layer("attn_output").T
            h = norm(x, layer("ffn_norm"))
            gate = h @ layer("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ layer("ffn_up").T)) @ layer("ffn_down").T
        return norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T

    tokens = next(f for name, f in reader.fields.items() if name == "tokenizer.ggml.tokens")
    texts = [bytes(tokens.parts[i]).decode() for i in tokens.data]
    cases = []
    for case in json.loads((models / "golden/stories3M.json").read_text())["cases"]:
        ids = list(case["ids"])
        at = logits(ids)
        top = np.argsort(-at[-1])[:10]
        gaps = []
        for _ in range(NEW):
            last = logits(ids)[-1]
            a, b = np.sort(last)[-1:-3:-1]
            gaps.append(float(a - b))
            ids.append(int(last.argmax()))
        new = ids[len(case["ids"]):]
        cases.append({
            "prompt": case["prompt"], "ids": case["ids"],
            "last_logits_first16": at[-1][:16].tolist(), "last_top10": [[int(i), float(at[-1][i])] for i in top],
            "first_pos_logits_first16": at[0][:16].tolist(), "greedy_ids": new,
            "greedy_text": "".join(texts[i] for i in new).replace("\u2581", " "), "min_top1_top2_gap": min(gaps),
        })
    pathlib.Path(out).write_text(json.dumps({"model": "stories3M-Q8_0.gguf", "cases": cases}, indent=1) + "\n")


main()
