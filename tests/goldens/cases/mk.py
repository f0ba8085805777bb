"""Tiny models for the cases: a llama whose next token is a table.

With attention and FFN set to zero the residual stream is the embedding of the last token; embedding rows are one-hot
per "state", the output matrix maps a state to the wanted next token. So a test chooses what the model says.
"""
import json, os, struct
import numpy as np

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
FMT = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d"}

def s(x):
    b = x if isinstance(x, bytes) else x.encode()
    return struct.pack("<Q", len(b)) + b

def val(kind, v):
    if kind == STR: return s(v)
    if kind == ARR:
        k, items = v
        return struct.pack("<IQ", k, len(items)) + b"".join(val(k, i) for i in items)
    return struct.pack("<" + FMT[kind], v)

def gguf(path, kv, tensors, version=3, align=32, dims_override=None):
    """kv: list of (key, kind, value); tensors: list of (name, ndarray f32)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(kv))
    for k, kind, v in kv: out += s(k) + struct.pack("<I", kind) + val(kind, v)
    off, data = 0, b""
    for name, a in tensors:
        a = np.ascontiguousarray(a, np.float32)
        dims = list(a.shape[::-1])
        if dims_override and name in dims_override: dims = dims_override[name]
        out += s(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        out += struct.pack("<IQ", 0, off)
        b = a.tobytes(); pad = -len(b) % align
        data += b + b"\0" * pad; off += len(b) + pad
    out += b"\0" * (-len(out) % align) + data
    with open(path, "wb") as f: f.write(out)
    return path

D = 8
FF, HEADS = D, max(2, D // 128)

def weights(vocab, chain, default):
    """chain: {token: next token}. Tokens without an entry say `default`."""
    states = list(chain)
    assert len(states) < D
    embed = np.zeros((vocab, D), np.float32); embed[:, D - 1] = 1
    out = np.zeros((vocab, D), np.float32); out[default, D - 1] = 1
    for k, t in enumerate(states):
        embed[t] = 0; embed[t, k] = 1; out[chain[t], k] = 1
    return embed, out

def gguf_tensors(vocab, chain, default):
    embed, out = weights(vocab, chain, default)
    z = lambda *sh: np.zeros(sh, np.float32)
    one = np.ones(D, np.float32)
    return [("token_embd.weight", embed), ("output.weight", out), ("output_norm.weight", one),
        ("blk.0.attn_norm.weight", one), ("blk.0.ffn_norm.weight", one),
        *[(f"blk.0.attn_{n}.weight", z(D, D)) for n in ("q", "k", "v", "output")],
        ("blk.0.ffn_gate.weight", z(FF, D)), ("blk.0.ffn_up.weight", z(FF, D)), ("blk.0.ffn_down.weight", z(D, FF))]

def arch_kv(extra=()):
    drop = {e[0] for e in extra}
    kv = [("general.architecture", STR, "llama"), ("general.name", STR, "case"),
        ("llama.block_count", U32, 1), ("llama.context_length", U32, 256), ("llama.embedding_length", U32, D),
        ("llama.feed_forward_length", U32, FF), ("llama.attention.head_count", U32, HEADS),
        ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)]
    return [e for e in kv if e[0] not in drop] + [e for e in extra if e[1] is not None]

def spm_vocab(more=()):
    """<unk> <s> </s>, 256 byte pieces, some pieces; `more` is [(text, type)]."""
    toks = [("<unk>", 2, 0.0), ("<s>", 3, 0.0), ("</s>", 3, 0.0)]
    toks += [(f"<0x{b:02X}>", 6, 0.0) for b in range(256)]
    toks += [(p, 1, -float(i)) for i, p in enumerate(["▁", "a", "b", "c", "▁a", "▁ab", "▁abc", "ab", "abc"])]
    toks += [(t, k, 0.0) for t, k in more]
    return toks

def spm_kv(toks, extra=()):
    drop = {e[0] for e in extra}
    kv = [("tokenizer.ggml.model", STR, "llama"),
        ("tokenizer.ggml.tokens", ARR, (STR, [t for t, _, _ in toks])),
        ("tokenizer.ggml.scores", ARR, (F32, [c for _, _, c in toks])),
        ("tokenizer.ggml.token_type", ARR, (I32, [k for _, k, _ in toks])),
        ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2)]
    return [e for e in kv if e[0] not in drop] + [e for e in extra if e[1] is not None]

def spm_gguf(path, more=(), chain=None, default=None, kv=(), tkv=(), **kw):
    toks = spm_vocab(more)
    ids = {t: i for i, (t, _, _) in enumerate(toks)}
    chain = {ids[a]: ids[b] for a, b in (chain or {}).items()}
    default = ids[default] if default else 2
    return gguf(path, arch_kv(kv) + spm_kv(toks, tkv), gguf_tensors(len(toks), chain, default), **kw)

def byte_chars():
    """GPT-2's printable stand-ins of the 256 bytes."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    m, n = {}, 0
    for b in range(256):
        if b in keep: m[b] = chr(b)
        else: m[b] = chr(256 + n); n += 1
    return m

def safetensors(path, tensors, meta=None, raw_entries=()):
    """tensors: {name: ndarray f32}; raw_entries: [(name, dtype, shape, bytes)]."""
    head, data = {}, b""
    if meta is not None: head["__metadata__"] = meta
    for name, a in tensors.items():
        b = np.ascontiguousarray(a, np.float32).tobytes()
        head[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [len(data), len(data) + len(b)]}
        data += b
    for name, dtype, shape, b in raw_entries:
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(b)]}
        data += b
    h = json.dumps(head).encode(); h += b" " * (-len(h) % 8)
    with open(path, "wb") as f: f.write(struct.pack("<Q", len(h)) + h + data)

def hf_tensors(vocab, chain, default):
    embed, out = weights(vocab, chain, default)
    z = lambda *sh: np.zeros(sh, np.float32)
    one = np.ones(D, np.float32)
    L = "model.layers.0."
    return {"model.embed_tokens.weight": embed, "lm_head.weight": out, "model.norm.weight": one,
        L + "input_layernorm.weight": one, L + "post_attention_layernorm.weight": one,
        **{L + f"self_attn.{n}_proj.weight": z(D, D) for n in "qkvo"},
        L + "mlp.gate_proj.weight": z(FF, D), L + "mlp.up_proj.weight": z(FF, D), L + "mlp.down_proj.weight": z(D, FF)}

def hf_config(vocab, **more):
    c = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D, "intermediate_size": FF,
        "num_hidden_layers": 1, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "vocab_size": vocab,
        "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False, "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2}
    c.update(more)
    return {k: v for k, v in c.items() if v != "DROP"}

def byte_bpe_tokenizer(added=(("<unk>", 0), ("<s>", 1), ("</s>", 2)), post=None, more_added=()):
    """A byte-level BPE without merges: ids 3.. are the 256 bytes; then `more_added` [(text, special)]."""
    vocab = {t: i for t, i in added}
    for b, c in byte_chars().items(): vocab[c] = len(added) + b
    at = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t, i in added]
    n = len(vocab)
    for k, (t, special) in enumerate(more_added):
        at.append({"id": n + k, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special})
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": at, "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": post, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []}}, n + len(more_added)

def hf_dir(path, tok=None, vocab=259, chain=None, default=2, config=None, tok_config=None, tensors=True, gen=None, template=None):
    os.makedirs(path, exist_ok=True)
    w = lambda n, o: open(os.path.join(path, n), "w").write(json.dumps(o))
    w("config.json", config or hf_config(vocab))
    if tok: w("tokenizer.json", tok)
    if tok_config is not None: w("tokenizer_config.json", tok_config)
    if gen is not None: w("generation_config.json", gen)
    if template is not None: open(os.path.join(path, "chat_template.jinja"), "w").write(template)
    if tensors: safetensors(os.path.join(path, "model.safetensors"), hf_tensors(vocab, chain or {}, default), {"format": "pt"})
    return path
