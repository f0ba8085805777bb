"""Values that headers and configurations may have: python gen_more.py OUT"""
import json, os, struct, sys
from mk import *
out = sys.argv[1]; os.makedirs(out, exist_ok=True)
p = lambda n: os.path.join(out, n)
BASE = {"<s>": "▁abc"}
toks = spm_vocab(); ids = {t: i for i, (t, _, _) in enumerate(toks)}
T = gguf_tensors(len(toks), {1: ids["▁abc"]}, 2)
model = lambda n, kv=(), tkv=(), **k: spm_gguf(p(n + ".gguf"), chain=k.pop("chain", BASE), kv=kv, tkv=tkv, **k)
tok = lambda n, key, kind, v, **k: model(n, tkv=[("tokenizer.ggml." + key, kind, v)], **k)
hp = lambda n, key, kind, v: model(n, kv=[("llama." + key, kind, v)])

# Flags and ids of the tokenizer
for n, kind, v in (("u32-0", U32, 0), ("i8-0", I8, 0), ("bool-0", BOOL, 0), ("i64-1", I64, 1), ("u8-2", U8, 2), ("text", STR, "false")):
    tok("add-bos-" + n, "add_bos_token", kind, v, chain={"<s>": "b", "▁abc": "c"})
tok("add-eos-u8", "add_eos_token", U8, 1, chain={"</s>": "b"})
tok("eos-float", "eos_token_id", F32, 2.0); tok("eos-i64-minus", "eos_token_id", I64, -2**40); tok("eos-beyond", "eos_token_id", U32, 5000); tok("eos-u64-big", "eos_token_id", U64, 2**64 - 1)
tok("types-u8", "token_type", ARR, (U8, [k for _, k, _ in toks])); tok("types-negative", "token_type", ARR, (I32, [k for _, k, _ in toks[:-1]] + [-1]))
tok("types-float", "token_type", ARR, (F32, [float(k) for _, k, _ in toks])); tok("types-empty", "token_type", ARR, (I32, []))
tok("scores-empty", "scores", ARR, (F32, [])); tok("scores-text", "scores", ARR, (STR, ["0"] * len(toks))); tok("scores-inf", "scores", ARR, (F32, [c for _, _, c in toks[:-1]] + [float("inf")]))
tok("tokens-empty", "tokens", ARR, (STR, []))
tok("merges-in-spm", "merges", ARR, (STR, ["a b"])); tok("pre-in-spm", "pre", STR, "no-such"); tok("space-prefix-u8", "add_space_prefix", U8, 0); tok("unused-key", "cls_token_id", STR, "x")
tok("suffixed-bos", "bos_token_id", U32, 2**31); tok("eot-beyond", "eot_token_id", U32, 9999); tok("eot", "eot_token_id", U32, ids["▁abc"])

# Hyperparameters
for n, key, kind, v in (("ctx-none", "context_length", None, 0), ("ctx-0", "context_length", U32, 0), ("ctx-float", "context_length", F32, 256.0), ("ctx-big", "context_length", U64, 2**40), ("ctx-text", "context_length", STR, "256"),
    ("width-0", "embedding_length", U32, 0), ("width-other", "embedding_length", U32, 16), ("heads-0", "attention.head_count", U32, 0), ("heads-3", "attention.head_count", U32, 3), ("heads-none", "attention.head_count", None, 0),
    ("kv-0", "attention.head_count_kv", U32, 0), ("kv-4", "attention.head_count_kv", U32, 4), ("kv-1", "attention.head_count_kv", U32, 1), ("eps-none", "attention.layer_norm_rms_epsilon", None, 0), ("eps-negative", "attention.layer_norm_rms_epsilon", F32, -1e-5),
    ("eps-nan", "attention.layer_norm_rms_epsilon", F32, float("nan")), ("eps-0", "attention.layer_norm_rms_epsilon", F32, 0.0), ("base-0", "rope.freq_base", F32, 0.0), ("base-nan", "rope.freq_base", F32, float("nan")), ("layers-0", "block_count", U32, 0), ("layers-2", "block_count", U32, 2),
    ("layers-none", "block_count", None, 0), ("ff-other", "feed_forward_length", U32, 16), ("ff-none", "feed_forward_length", None, 0), ("rot-3", "rope.dimension_count", U32, 3), ("rot-2", "rope.dimension_count", U32, 2), ("rot-4", "rope.dimension_count", U64, 4),
    ("key-4", "attention.key_length", U32, 4), ("key-5", "attention.key_length", U32, 5), ("experts-0", "expert_count", U32, 0), ("experts-8", "expert_count", U32, 8), ("scale-none", "rope.scaling.type", STR, "none"),
    ("scale-linear", "rope.scaling.type", STR, "linear"), ("scale-unknown", "rope.scaling.type", STR, "wat"), ("scale-longrope", "rope.scaling.type", STR, "longrope"), ("factor-0", "rope.scaling.factor", F32, 0.0), ("old-linear", "rope.scale_linear", F32, 1.0), ("window", "attention.sliding_window", U32, 4)):
    hp(n, key, kind, v)
model("arch-capitals", kv=[("general.architecture", STR, "LLAMA")]); model("arch-unknown", kv=[("general.architecture", STR, "mamba9")]); model("arch-number", kv=[("general.architecture", U32, 1)])
model("split-1", kv=[("split.count", U16, 1), ("split.no", U16, 0)]); model("split-0", kv=[("split.count", U16, 0)]); model("split-text", kv=[("split.count", STR, "2")]); model("split-2-alone", kv=[("split.count", U16, 2), ("split.no", U16, 0)])
model("file-type", kv=[("general.file_type", STR, "?"), ("general.quantization_version", F32, 2.0)])
model("long-text", kv=[("x.long", STR, "x" * 70000)]); model("long-key", kv=[("x" * 1000, U32, 1)])
gguf(p("no-tensors.gguf"), arch_kv() + spm_kv(toks), []); gguf(p("no-keys.gguf"), [], T)
gguf(p("scalar.gguf"), arch_kv() + spm_kv(toks), T + [("x.scalar", np.float32(1))], dims_override={"x.scalar": []})
gguf(p("empty-name.gguf"), arch_kv() + spm_kv(toks), T + [("", np.zeros(4, np.float32))])
gguf(p("freqs.gguf"), arch_kv() + spm_kv(toks), T + [("rope_freqs.weight", np.ones(2, np.float32))])
gguf(p("freqs-long.gguf"), arch_kv() + spm_kv(toks), T + [("rope_freqs.weight", np.ones(5, np.float32))])
b = open(p("split-1.gguf"), "rb").read()
open(p("kind-13.gguf"), "wb").write(b.replace(s("split.no") + struct.pack("<I", U16), s("split.no") + struct.pack("<I", 13)))
open(p("text-2-60.gguf"), "wb").write(b.replace(s("case"), struct.pack("<Q", 2**60) + b"case"))
open(p("list-2-61.gguf"), "wb").write(b.replace(struct.pack("<IQ", F32, len(toks)), struct.pack("<IQ", F32, 2**61)))

# config.json
TOK, V = byte_bpe_tokenizer()
AB = {3 + ord("a"): 3 + ord("b"), 3 + ord("b"): 3 + ord("c")}
W = hf_tensors(V, AB, 2)
base = lambda n, **k: hf_dir(p(n), tok=k.pop("tok", TOK), vocab=V, chain=AB, **k)
for n, c in {"theta-null": dict(rope_theta=None), "scaling-text": dict(rope_scaling="linear"), "layers-0": dict(num_hidden_layers=0), "layers-2": dict(num_hidden_layers=2), "eps-text": dict(rms_norm_eps="1e-5"), "eos-minus": dict(eos_token_id=-1),
    "eos-beyond": dict(eos_token_id=99999), "tie-null": dict(tie_word_embeddings=None), "act-null": dict(hidden_act=None), "act-gelu": dict(hidden_act="gelu"), "bias-true": dict(attention_bias=True), "arch-null": dict(architectures=None), "quant-empty": dict(quantization_config={}),
    "quant-bnb": dict(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}), "types-null": dict(layer_types=None), "vocab-more": dict(vocab_size=V + 5), "width-other": dict(hidden_size=16), "heads-3": dict(num_attention_heads=3), "heads-0": dict(num_attention_heads=0),
    "window": dict(sliding_window=4, use_sliding_window=False), "unknown-keys": dict(foo={"bar": [1]}, auto_map={"AutoConfig": "x.Y"}), "ctx-0": dict(max_position_embeddings=0), "ctx-huge": dict(max_position_embeddings=10**12), "llama3-text": dict(rope_scaling={"rope_type": "llama3", "factor": "8"}),
    "su": dict(rope_scaling={"type": "su", "short_factor": [1.0, 1.0], "long_factor": [1.0, 1.0]}), "mrope": dict(rope_scaling={"type": "mrope", "mrope_section": [1, 1]}), "text-config": dict(text_config={"hidden_size": D}), "head-dim": dict(head_dim=4), "kv-1": dict(num_key_value_heads=1)}.items():
    base("config-" + n, config=hf_config(V, **c))
d = base("config-list"); open(d + "/config.json", "w").write("[]")
d = base("config-html"); open(d + "/config.json", "w").write("<!DOCTYPE html><html></html>")
d = base("config-empty"); open(d + "/config.json", "w").close()
d = base("config-nan"); c = json.dumps(hf_config(V, rope_theta=10000.0)); open(d + "/config.json", "w").write(c[:-1] + ', "router_jitter": NaN, "x": -Infinity}')
d = base("config-twice"); c = json.dumps(hf_config(V)); open(d + "/config.json", "w").write(c[:-1] + ', "hidden_act": "silu"}')
d = base("config-utf16"); c = json.dumps(hf_config(V)); open(d + "/config.json", "w", encoding="utf-16").write(c)

# tokenizer_config.json, generation_config.json, chat_template.jinja
TC = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
for n, c in {"bos-object": dict(bos_token={"__type": "AddedToken", "content": "<s>", "lstrip": False}), "bos-null": dict(bos_token=None), "eos-null": dict(eos_token=None), "eos-unknown": dict(eos_token="<nope>"), "template-null": dict(chat_template=None), "template-empty": dict(chat_template=""),
    "template-number": dict(chat_template=5), "decoder-null": dict(added_tokens_decoder=None), "decoder-empty": dict(added_tokens_decoder={}), "extra": dict(extra_special_tokens={"image_token": "<image>"}, model_max_length=1e30), "class-null": dict(tokenizer_class=None)}.items():
    base("tc-" + n, tok_config={**TC, **c})
d = base("tc-list"); open(d + "/tokenizer_config.json", "w").write("[]")
d = base("tc-broken"); open(d + "/tokenizer_config.json", "w").write("{")
for n, text in {"broken": b"{", "html": b"<html>", "latin1": b'{"x": "\xe9"}', "float-eos": b'{"eos_token_id": 2.0}', "nan": b'{"temperature": NaN}', "ab-ends": b'{"eos_token_id": 101}'}.items():
    d = base("gen-" + n); open(d + "/generation_config.json", "wb").write(text)
for n, text in {"empty": b"", "latin1": b"{{ messages[0].content }}\xe9", "html": b"<!DOCTYPE html>\n<html></html>", "bom": "\ufeff{{ messages[0].content }}".encode(), "broken": b"{% if %}"}.items():
    d = base("jinja-" + n, tok_config=TC); open(d + "/chat_template.jinja", "wb").write(text)
base("no-tokenizer", tok=None)

# safetensors
def raw(n, edit=lambda h: h, size=None, data=None, entries=()):
    d = base(n, tensors=False); f = d + "/model.safetensors"
    safetensors(f, W, {"format": "pt"}, entries)
    b = open(f, "rb").read(); k = struct.unpack("<Q", b[:8])[0]; h = edit(b[8:8 + k])
    open(f, "wb").write(struct.pack("<Q", len(h) if size is None else size) + h + (b[8 + k:] if data is None else data))
raw("st-size-0", size=0); raw("st-size-big", size=2**62); raw("st-space-first", lambda h: b"  " + h); raw("st-bom", lambda h: "\ufeff".encode() + h); raw("st-empty", lambda h: b"{}", data=b""); raw("st-array", lambda h: b"[]", data=b""); raw("st-tabs", lambda h: h + b"\t\n"); raw("st-nul-padding", lambda h: h + b"\0" * 8)
raw("st-lowercase", lambda h: h.replace(b'"F32"', b'"f32"')); raw("st-float-offsets", lambda h: h.replace(b'"data_offsets": [0,', b'"data_offsets": [0.0,')); raw("st-negative", lambda h: h.replace(b'"shape": [8, 8]', b'"shape": [-8, 8]'))
raw("st-extra-key", lambda h: h.replace(b'"dtype": "F32"', b'"dtype": "F32", "x": 1')); raw("st-meta-nested", lambda h: h.replace(b'{"format": "pt"}', b'{"format": "pt", "x": {"y": 1}}')); raw("st-meta-raw", lambda h: h.replace(b'"pt"', b'"\xe9"'))
F = lambda *shape: np.zeros(shape, np.float32).tobytes()
for n, e in {"position-ids": ("model.embed_positions.position_ids", "F32", [1, 4], F(1, 4)), "f16-inv-freq": ("model.layers.0.self_attn.rotary_emb.inv_freq", "F16", [4], b"\0" * 8), "u8": ("model.mask", "U8", [3], b"\0" * 3), "f8": ("model.scales", "F8_E4M3", [3], b"\0" * 3), "f4": ("model.packed", "F4", [4], b"\0" * 2), "c64": ("model.freqs_cis", "C64", [2], b"\0" * 16),
    "extra-f32": ("model.layers.0.self_attn.rotary_emb.other", "F32", [2, 2], F(2, 2)), "empty-weight": ("model.layers.0.self_attn.q_proj.bias", "F32", [0], b""), "empty-name": ("", "I64", [1], b"\0" * 8)}.items():
    raw("extra-" + n, entries=[e])
def index(n, text, files=("model-00001-of-00001.safetensors",)):
    d = base(n, tensors=False)
    for f in files:
        os.makedirs(os.path.dirname(f"{d}/{f}"), exist_ok=True); safetensors(f"{d}/{f}", W, {"format": "pt"})
    open(d + "/model.safetensors.index.json", "wb").write(text)
S = "model-00001-of-00001.safetensors"
mapping = lambda name: json.dumps({"metadata": {}, "weight_map": {k: name for k in W}}).encode()
index("index-sub", mapping("sub/" + S), ["sub/" + S]); index("index-dot", mapping("./" + S)); index("index-colon", mapping("a:b.safetensors"), ["a:b.safetensors"]); index("index-blank", mapping("")); index("index-null", b'{"metadata": {}, "weight_map": null}')
index("index-empty-file", b""); index("index-html", b"<!doctype html>"); index("index-backslash", mapping("..\\x.safetensors"), ["..\\x.safetensors"]); index("index-total", json.dumps({"metadata": {"total_size": "many"}, "weight_map": {k: S for k in W}}).encode())
