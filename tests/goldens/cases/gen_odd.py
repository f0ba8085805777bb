"""More of the same kinds: python gen_odd.py OUT"""
import json, os, struct, sys
from mk import *
out = sys.argv[1]; os.makedirs(out, exist_ok=True)
p = lambda n: os.path.join(out, n)
BASE = {"<s>": "▁abc"}
toks = spm_vocab(); ids = {t: i for i, (t, _, _) in enumerate(toks)}
T = gguf_tensors(len(toks), {1: ids["▁abc"]}, 2)
model = lambda n, kv=(), tkv=(), **k: spm_gguf(p(n + ".gguf"), chain=BASE, kv=kv, tkv=tkv, **k)
def swap(src, n):
    """A file of which one field is changed: (offset, bytes)."""
    b = bytearray(open(p("v3.gguf"), "rb").read())
    for at, what in src: b[at:at + len(what)] = what
    open(p(n + ".gguf"), "wb").write(b)
model("v3"); model("v2", version=2); model("v4", version=4); model("v1", version=1)
swap([(4, b"\0\0\0\3")], "big-endian")
swap([(0, b"GGUX")], "magic")
swap([(8, struct.pack("<Q", 2**40))], "many-tensors"); swap([(16, struct.pack("<Q", 2**40))], "many-keys")
b = open(p("v3.gguf"), "rb").read()
open(p("cut-header.gguf"), "wb").write(b[:3000]); open(p("cut-data.gguf"), "wb").write(b[:-40]); open(p("longer.gguf"), "wb").write(b + b"x" * 100)
# Names: no extension, a blob store's, capitals, another extension.
for n in ("sha256-0123abcd", "blob", "MODEL.GGUF", "model.bin", "a b#c%20.gguf", "模型.gguf"): open(p(n), "wb").write(b)
for a in (0, 3, 24): model(f"align{a}", kv=[("general.alignment", U32, a)], align=a or 32)
model("align8-u64", kv=[("general.alignment", U64, 8)], align=8)
model("duplicate-key", kv=[("x.a", U32, 1), ("x.a", U32, 2)])
model("empty-key", kv=[("", U32, 1)])
model("width-u8", kv=[("llama.block_count", U8, 1), ("llama.context_length", U64, 256), ("llama.embedding_length", I64, D)])
model("eps-f64", kv=[("llama.attention.layer_norm_rms_epsilon", F64, 1e-5)])
model("negative-width", kv=[("llama.embedding_length", I32, -8)])
model("text-width", kv=[("llama.embedding_length", STR, "8")])
model("few-types", tkv=[("tokenizer.ggml.token_type", ARR, (I32, [k for _, k, _ in toks][:5]))])
model("no-types", tkv=[("tokenizer.ggml.token_type", None, None)])
model("type-99", tkv=[("tokenizer.ggml.token_type", ARR, (I32, [k for _, k, _ in toks[:-1]] + [99]))])
model("few-scores", tkv=[("tokenizer.ggml.scores", ARR, (F32, [0.0] * 5))])
model("nan-score", tkv=[("tokenizer.ggml.scores", ARR, (F32, [c for _, _, c in toks[:-1]] + [float("nan")]))])
model("f64-scores", tkv=[("tokenizer.ggml.scores", ARR, (F64, [c for _, _, c in toks]))])
model("no-tokens", tkv=[("tokenizer.ggml.tokens", None, None)])
model("tokens-of-numbers", tkv=[("tokenizer.ggml.tokens", ARR, (I32, [1, 2]))])
model("other-tokenizer", tkv=[("tokenizer.ggml.model", STR, "wat")])
model("no-tokenizer", tkv=[("tokenizer.ggml.model", None, None)])
model("negative-eos", tkv=[("tokenizer.ggml.eos_token_id", I32, -1)])
model("text-eos", tkv=[("tokenizer.ggml.eos_token_id", STR, "2")])
model("vocab-more", kv=[("llama.vocab_size", U32, 300)]); model("vocab-0", kv=[("llama.vocab_size", U32, 0)]); model("vocab-text", kv=[("llama.vocab_size", STR, "269")])
model("nul-token", more=[("a\0b", 1)])
model("nul-name", kv=[("general.name", STR, "\0\0")])
model("raw-key", kv=[(b"x.\xff", U32, 1)])
model("raw-template", tkv=[("tokenizer.chat_template", STR, b"{{ messages[0].content }}\xff")])
model("template-number", tkv=[("tokenizer.chat_template", U32, 5)])
model("template-empty", tkv=[("tokenizer.chat_template", STR, "")])
model("bool-2", kv=[("x.b", BOOL, 2)])
model("deep-arrays", kv=[("x.n", ARR, (ARR, [(ARR, [(U8, [1])])]))])
gguf(p("twice.gguf"), arch_kv() + spm_kv(toks), T + [T[-1]])
gguf(p("extra-tensor.gguf"), arch_kv() + spm_kv(toks), T + [("x.y", np.zeros((4, 4), np.float32)), ("rope_freqs.weird", np.zeros(3, np.float32))])
gguf(p("5-dims.gguf"), arch_kv() + spm_kv(toks), T, dims_override={"blk.0.attn_norm.weight": [D, 1, 1, 1, 1]})
gguf(p("trailing-ones.gguf"), arch_kv() + spm_kv(toks), T, dims_override={"blk.0.attn_norm.weight": [D, 1, 1, 1]})
gguf(p("no-arch.gguf"), [e for e in arch_kv() if e[0] != "general.architecture"] + spm_kv(toks), T)

# safetensors
TOK, V = byte_bpe_tokenizer()
AB = {3 + ord("a"): 3 + ord("b"), 3 + ord("b"): 3 + ord("c")}
W = hf_tensors(V, AB, 2)
def header(n, edit=lambda h: None, text=lambda s: s, data=lambda d: d, pad=0, file="model.safetensors"):
    """A directory of which the header was edited."""
    d = hf_dir(p(n), tok=TOK, vocab=V, chain=AB)
    b = open(d + "/model.safetensors", "rb").read(); size = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8:8 + size]); edit(h); s_ = text(json.dumps(h)).encode(); s_ += b" " * (-len(s_) % 8 + pad)
    os.remove(d + "/model.safetensors")
    open(d + "/" + file, "wb").write(struct.pack("<Q", len(s_)) + s_ + data(b[8 + size:]))
    return d
L = "model.layers.0."
header("st-plain"); header("st-padding", pad=4000)
header("st-meta-null", lambda h: h.update(__metadata__=None)); header("st-meta-numbers", lambda h: h.update(__metadata__={"a": 1}))
header("st-no-meta", lambda h: h.pop("__metadata__"))
header("st-unsorted", text=lambda s_: json.dumps(dict(reversed(json.loads(s_).items()))))
header("st-hole", lambda h: [v["data_offsets"].__setitem__(i, v["data_offsets"][i] + 64) for k, v in h.items() if k != "__metadata__" for i in (0, 1)], data=lambda b: b"\0" * 64 + b)
header("st-trailing", data=lambda b: b + b"\0" * 64)
header("st-cut", data=lambda b: b[:-64])
header("st-overlap", lambda h: h[L + "self_attn.q_proj.weight"].update(data_offsets=h[L + "self_attn.k_proj.weight"]["data_offsets"]))
header("st-backwards", lambda h: h["lm_head.weight"]["data_offsets"].reverse())
header("st-size", lambda h: h["lm_head.weight"].update(shape=[V, D + 1]))
header("st-f64-weight", lambda h: h[L + "self_attn.q_proj.weight"].update(dtype="I32"))
header("st-f8", lambda h: h[L + "self_attn.q_proj.weight"].update(dtype="F8_E4M3", shape=[2 * D, 2 * D]))
header("st-dtype-new", lambda h: h[L + "self_attn.q_proj.weight"].update(dtype="F99"))
header("st-duplicate", text=lambda s_: s_[:-1] + ', "lm_head.weight": ' + json.dumps(json.loads(s_)["lm_head.weight"]) + "}")
header("st-json", text=lambda s_: s_[:-1])
header("st-other-name", file="weights.safetensors")
d = header("st-both"); json.dump({"weight_map": {"lm_head.weight": "model-00009-of-00009.safetensors"}}, open(d + "/model.safetensors.index.json", "w"))
S = "model-00001-of-00001.safetensors"
for n, index in {"no-total": {"weight_map": {k: S for k in W}}, "no-map": {"metadata": {}}, "few": {"weight_map": {"lm_head.weight": S}}, "up": {"weight_map": {"lm_head.weight": "../" + S}}, "absolute": {"weight_map": {"lm_head.weight": "/" + S}}, "list": [], "number": {"weight_map": {"lm_head.weight": 1}}, "empty": {"weight_map": {}}}.items():
    d = header(f"index-{n}", file=S); json.dump(index, open(d + "/model.safetensors.index.json", "w"))
