"""Hugging Face directory cases: python gen_hf.py OUT"""
import copy, json, os, shutil, sys
from mk import *
out = sys.argv[1]; shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
p = lambda n: os.path.join(out, n)
J = lambda path, o: open(path, "w").write(json.dumps(o))
TOK, V = byte_bpe_tokenizer()
AB = {3 + ord("a"): 3 + ord("b"), 3 + ord("b"): 3 + ord("c")}   # a -> b -> c -> </s>
base = lambda n, **k: hf_dir(p(n), tok=k.pop("tok", TOK), vocab=k.pop("vocab", V), chain=k.pop("chain", AB), **k)
base("h01-plain")
# config dialects; what transformers reads without complaint
cfgs = {
 "rope-null": dict(rope_scaling=None), "rope-default": dict(rope_scaling={"type": "default"}), "rope-rope-default": dict(rope_scaling={"rope_type": "default", "type": "default"}),
 "rope-empty": dict(rope_scaling={}), "rope-linear1": dict(rope_scaling={"type": "linear", "factor": 1.0}), "rope-dynamic": dict(rope_scaling={"type": "dynamic", "factor": 2.0}),
 "rope-yarn": dict(rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}),
 "rope-params": dict(rope_theta="DROP", rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), "rope-params-null": dict(rope_parameters=None),
 "rope-type-null": dict(rope_scaling={"rope_type": None, "factor": None}),
 "rope-llama3-int": dict(rope_scaling={"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 128}),
 "theta-int": dict(rope_theta=10000), "eos-list": dict(eos_token_id=[2, 1]), "eos-null": dict(eos_token_id=None), "eos-str": dict(eos_token_id="2"), "head-null": dict(head_dim=None), "window-null": dict(sliding_window=None),
 "kv-null": dict(num_key_value_heads=None), "kv-drop": dict(num_key_value_heads="DROP"), "dtype-null": dict(torch_dtype=None), "dtype-new": dict(torch_dtype="DROP", dtype="bfloat16"),
 "dtype-dict": dict(torch_dtype={"": "float32"}), "quant-null": dict(quantization_config=None), "ctx-drop": dict(max_position_embeddings="DROP"), "ctx-float": dict(max_position_embeddings=256.0),
 "act-swish": dict(hidden_act="swish"), "tie-drop": dict(tie_word_embeddings="DROP"), "eps-drop": dict(rms_norm_eps="DROP"), "type-drop": dict(model_type="DROP"), "mistral": dict(model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=None),
 "float-ints": dict(hidden_size=float(D), num_hidden_layers=1.0), "pretraining-tp": dict(pretraining_tp=2), "layer-types": dict(layer_types=["full_attention"]), "bias-null": dict(attention_bias=None, mlp_bias=None),
 "vocab-less": dict(vocab_size=V - 3), "heads-str": dict(num_attention_heads="2"), "partial": dict(partial_rotary_factor=1.0), "sparse-null": dict(activation_sparsity=None),
}
for n, c in cfgs.items():
    d = base(f"h02-{n}", config=hf_config(V, **c))
# tokens that only tokenizer_config.json knows (added_tokens_decoder), after a fine-tune
dec = {str(i): {"content": t, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True} for t, i in (("<unk>", 0), ("<s>", 1), ("</s>", 2), ("<|im_start|>", V), ("<|im_end|>", V + 1))}
CHATML = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
nl = 3 + 10
base("h03-config-only-tokens", vocab=V + 2, chain={nl: 3 + ord("a"), 3 + ord("a"): V + 1, V + 1: 3 + ord("x")}, default=3 + ord("y"), config=hf_config(V + 2),
    tok_config={"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "<|im_end|>", "unk_token": "<unk>", "added_tokens_decoder": dec, "chat_template": CHATML})
# BOS by class: no flags, no post-processor
for cls in ("LlamaTokenizerFast", "LlamaTokenizer", "PreTrainedTokenizerFast"):
    for flag in (None, True, False):
        c = {"tokenizer_class": cls, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        if flag is not None: c["add_bos_token"] = flag
        base(f"h04-{cls}-{flag}", tok_config=c)
# the index names lm_head.weight, which the shard of a tied model lacks
def sharded(n, weights, index, tie):
    d = base(n, tensors=False, config=hf_config(V, tie_word_embeddings=tie))
    for shard, t in weights.items(): safetensors(os.path.join(d, shard), t, {"format": "pt"})
    J(os.path.join(d, "model.safetensors.index.json"), {"metadata": {"total_size": 1}, "weight_map": index})
    return d
t = hf_tensors(V, AB, 2); head = t["lm_head.weight"]
tied = {k: v for k, v in t.items() if k != "lm_head.weight"}
S = "model-00001-of-00001.safetensors"
sharded("h05-index-lm-head", {S: tied}, {k: S for k in t}, True)
S1, S2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
a = dict(list(t.items())[:5]); b = dict(list(t.items())[5:])
sharded("h05-index-swapped", {S1: a, S2: b}, {**{k: S2 for k in a}, **{k: S1 for k in b}}, False)
d = sharded("h05-missing-shard", {S1: a}, {**{k: S1 for k in a}, **{k: S2 for k in b}}, False)
sharded("h05-extra-in-index", {S1: a, S2: b}, {**{k: S1 for k in a}, **{k: S2 for k in b}, "model.layers.0.self_attn.rotary_emb.inv_freq": S2}, False)
# tensors of other types that no layer needs
for n, e in {"f64-inv-freq": ("model.layers.0.self_attn.rotary_emb.inv_freq", "F64", [8], b"\0" * 64), "i64": ("model.embed_positions.position_ids", "I64", [1, 4], b"\0" * 32),
    "bool": ("model.causal_mask", "BOOL", [4], b"\0" * 4), "empty": ("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [0], b""), "empty-2": ("model.nothing", "F32", [2, 0], b""), "scalar": ("model.scalar", "F32", [], b"\0" * 4)}.items():
    d = base(f"h06-{n}", tensors=False)
    safetensors(os.path.join(d, "model.safetensors"), t, {"format": "pt"}, [e])
# chat templates wherever they may be
TC = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
base("h07-list", tok_config={**TC, "chat_template": [{"name": "default", "template": "{{ messages[0].content }}"}, {"name": "tool_use", "template": "T"}]})
base("h07-list-no-default", tok_config={**TC, "chat_template": [{"name": "chat", "template": "{{ messages[0].content }}"}]})
base("h07-list-one", tok_config={**TC, "chat_template": [{"name": "tool_use", "template": "{{ messages[0].content }}"}]})
d = base("h07-dir", tok_config=TC); os.makedirs(d + "/additional_chat_templates"); open(d + "/additional_chat_templates/tool_use.jinja", "w").write("T")
d = base("h07-json", tok_config=TC); J(d + "/chat_template.json", {"chat_template": "{{ messages[0].content }}"})
base("h07-broken", tok_config={**TC, "chat_template": "{% wat %}{{ messages[0].content }}"})
base("h07-go", tok_config={**TC, "chat_template": "{{ .System }} {{ .Prompt }}"})
# strftime_now without a guard, as in Mistral Small 3
base("h08-strftime", tok_config={**TC, "chat_template": "{%- set today = strftime_now(\"%Y-%m-%d\") %}{{ today + ' ' + messages[0]['content'] }}"}, chain=AB)
# only a SentencePiece file
d = base("h09-tokenizer-model", tok=None, tok_config={"tokenizer_class": "LlamaTokenizer"}); open(d + "/tokenizer.model", "wb").write(b"\x0a\x0b")
# names without "model."
d = base("h10-no-prefix", tensors=False); safetensors(d + "/model.safetensors", {k.removeprefix("model."): v for k, v in t.items()}, {"format": "pt"})
# byte order marks
for f in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
    d = base(f"h11-bom-{f}", tok_config=TC, gen={"eos_token_id": 2}); s_ = open(f"{d}/{f}").read(); open(f"{d}/{f}", "w", encoding="utf-8-sig").write(s_)
d = sharded("h11-bom-index", {S: t}, {k: S for k in t}, False); s_ = open(d + "/model.safetensors.index.json").read(); open(d + "/model.safetensors.index.json", "w", encoding="utf-8-sig").write(s_)
# generation_config oddities
for n, g in {"null": None, "list-eos": {"eos_token_id": [2, 1], "do_sample": True, "temperature": 0.0}, "topp0": {"do_sample": True, "top_p": 0.0, "temperature": 1e-9}, "neg": {"top_k": -1, "temperature": -1, "repetition_penalty": 0}, "str": {"temperature": "0.7"}, "list": [], "empty": {}}.items():
    d = base(f"h12-gen-{n}"); J(d + "/generation_config.json", g)
# a tokenizer whose special tokens have lstrip/rstrip, Metaspace, byte fallback: compared by fuzz, see tok_fuzz.py
# only an empty file / truncated json
d = base("h13-empty-gen"); open(d + "/generation_config.json", "w").close()
d = base("h13-empty-special"); open(d + "/special_tokens_map.json", "w").close()
d = base("h13-bad-special"); open(d + "/special_tokens_map.json", "w").write("{")
# Jinja: what templates of real models do and this engine refuses or prints otherwise
T = lambda n, t: base(n, tok_config={**TC, "chat_template": t})
T("h14-none-iterable", "{% if tools is iterable and tools | length > 0 %}T{% endif %}{{ messages[0].content }}")
T("h14-undefined-length", "{% if messages[0].tool_calls | length > 0 %}T{% endif %}{{ messages[0].content }}")
T("h14-repeat", "{% set n = 2 %}{{ '-' * n }}{{ messages[0].content }}")
T("h14-crlf", "x\r\n{{ messages[0].content }}")
T("h14-int", "{{ 'x' | int }}{{ messages[0].content }}")
T("h14-percent", "{{ '%s' % messages[0].content }}")
T("h14-ok", "{{ messages[0].content }}")
print(len(os.listdir(out)), "directories")
