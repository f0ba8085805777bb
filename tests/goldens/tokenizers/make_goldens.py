"""Goldens of vocabularies, by llama.cpp and tokenizers: python make_goldens.py LIBRARY [MODEL.gguf..]

LIBRARY is a shared library that exports llama.h: xllamacpp.abi3.so of the PyPI package xllamacpp, version 2026.10.11549
(llama.cpp b11549).
Reads or trains bpe.json and spm.json (vocabularies of texts that nothing cuts, so that merges reach over every place
where a pre-tokenizer may cut). Writes goldens.json: for each of fuzz.texts(1, 300) and each `tokenizer.ggml.pre` a hash
of its ids; for SentencePiece and WordPiece with each of their keys, and for tokenizer.json files of both vocabularies, a
hash of its ids, those with BOS and the like, and the texts of the former without and with special tokens. For each
MODEL (those of scripts/real-models.mjs) such hashes go to ../real/tokenizers.json.
"""

import ctypes, json, os, struct, sys, tempfile
import fuzz
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# llama_vocab_type.
BPE = 2
# llama_token_attr: unknown, control, user-defined.
ADDED_ATTRIBUTES = 1 | 8 | 16
# Names of the table of llama.cpp, in its order.
PRES = """default minicpm5 llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano deepseek-llm
deepseek-coder deepseek-v3 spark2_5 youtu falcon mpt starcoder gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de
a.x-4.0 mellum modern-bert jais-2 gemma4 granite-embed-multi-311m mmbert sarvam-moe jina-v1-en jina-v2-code roberta-bpe
whitespace refact command-r qwen2 deepseek-r1-qwen kormo f2llmv2 qwen35 stablelm2 olmo dbrx smaug-bpe poro-chat
chatglm-bpe glm4 glm5 viking jais tekken smollm codeshell bloom gpt3-finnish exaone exaone4 exaone-moe chameleon
minerva-7b megrez gpt-4o llama4 kanana2 talkie granite-embed-multi-97m tiny_aya cohere2moe superbpe trillion
granite-docling bailingmoe bailingmoe2 llada-moe seed-coder hunyuan hunyuan-dense hy_v4 joyai-llm kimi-k2 ufakzeka grok-2
afmoe laguna minimax-m2 solar-open mellum2 k2-horizon""".split()
PAIRED = "'`sSxdr1-.\n\r\té中Aa "
# These cut raw UTF-8 with U+2581 for spaces.
ADDED = [("<s>", CONTROL), ("</s>", CONTROL), ("<|user|>", USER_DEFINED), ("<|end|>", CONTROL), ("[tool]", USER_DEFINED)]
RAW = ["gemma4", "granite-embed-multi-311m", "mmbert", "sarvam-moe", "whitespace"]


def single(with_special, ids):
    """Without the BOS that was put before one, and the end that was put behind one."""
    n = len(ids)
    if ids and with_special[: n + 1] == ids[:1] + ids:
        with_special = with_special[1:]
    return with_special[:-1] if ids and with_special[-n - 1:] == ids + ids[-1:] else with_special


class Llama:
    """The parts of llama.h that vocabularies need."""

    def __init__(self, path):
        self.lib = lib = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)

        class Params(ctypes.Structure):
            _fields_ = [("before", ctypes.c_ubyte * 72), ("vocab_only", ctypes.c_bool), ("after", ctypes.c_ubyte * 7)]
        self.out = ctypes.create_string_buffer(1 << 20)
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        lib.llama_log_set(self.quiet, None)
        lib.llama_model_default_params.restype = Params
        self.params = lib.llama_model_default_params()
        # vocab_only, check_tensors, use_extra_bufts: the order says whether the offset is right.
        assert not self.params.vocab_only and list(self.params.after[:2]) == [0, 1]
        self.params.vocab_only = True
        lib.llama_model_load_from_file.restype = lib.llama_model_get_vocab.restype = ctypes.c_void_p
        lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Params]
        lib.llama_model_get_vocab.argtypes = lib.llama_model_free.argtypes = [ctypes.c_void_p]
        lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
        lib.llama_vocab_type.argtypes = [ctypes.c_void_p]
        lib.llama_token_to_piece.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_bool]
        lib.llama_detokenize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
        lib.llama_vocab_is_eog.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        lib.llama_vocab_is_eog.restype = ctypes.c_bool
        lib.llama_vocab_n_tokens.argtypes = [ctypes.c_void_p]
        lib.llama_vocab_get_text.argtypes = lib.llama_vocab_get_attr.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        lib.llama_vocab_get_text.restype = ctypes.c_char_p

    def open(self, path):
        model = self.lib.llama_model_load_from_file(path.encode(), self.params)
        if not model:
            raise ValueError(f"llama.cpp refuses {path}")
        return model, self.lib.llama_model_get_vocab(model)

    def close(self, model):
        self.lib.llama_model_free(model)

    def encode(self, vocab, text, add_special=False):
        data = text.encode()
        out = (ctypes.c_int32 * (len(data) * 4 + 16))()
        n = self.lib.llama_tokenize(vocab, data, len(data), out, len(out), add_special, True)
        assert n >= 0, n
        return list(out[:n])

    def piece(self, vocab, i, special):
        """Bytes of one id; `special` writes special tokens out."""
        n = self.lib.llama_token_to_piece(vocab, i, self.out, len(self.out), 0, special)
        assert n >= 0, n
        return self.out.raw[:n]

    def decode(self, vocab, ids, special):
        """Bytes of ids: of byte-level BPE piece by piece, as llama_detokenize takes spaces away from some of them."""
        if self.lib.llama_vocab_type(vocab) == BPE:
            return b"".join(self.piece(vocab, i, special) for i in ids)
        n = self.lib.llama_detokenize(vocab, (ctypes.c_int32 * len(ids))(*ids), len(ids), self.out, len(self.out), False, special)
        assert n >= 0, n
        return self.out.raw[:n]

    def answer(self, vocab, text):
        """Ids, ids with BOS and the like, and the texts of the former without and with special tokens.

        No second BOS; and no space at the beginning of a text whose special tokens are left out.
        """
        ids = self.encode(vocab, text)
        shown = next((i for i, id in enumerate(ids) if self.piece(vocab, id, False)), len(ids))
        return ids, single(self.encode(vocab, text, True), ids), self.decode(vocab, ids[shown:], False), self.decode(vocab, ids, True)

    def added(self, vocab):
        """Texts of tokens that are found before anything else happens to a text."""
        ids = range(self.lib.llama_vocab_n_tokens(vocab))
        return [self.lib.llama_vocab_get_text(vocab, i).decode() for i in ids if self.lib.llama_vocab_get_attr(vocab, i) & ADDED_ATTRIBUTES]

    def ends(self, vocab):
        return [i for i in range(self.lib.llama_vocab_n_tokens(vocab)) if self.lib.llama_vocab_is_eog(vocab, i)]


def gguf(path, entries):
    """entries: {key: str, bool, int, or a list of str, float or int}."""
    text = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
    def value(v):
        if isinstance(v, str): return 8, text(v)
        if isinstance(v, bool): return 7, struct.pack("<B", v)
        if isinstance(v, int): return 4, struct.pack("<I", v)
        if isinstance(v, float): return 6, struct.pack("<f", v)
        kind = {str: 8, int: 5, float: 6}[type((v or [""])[0])]
        pack = {8: text, 5: lambda i: struct.pack("<i", i), 6: lambda f: struct.pack("<f", f)}[kind]
        return 9, struct.pack("<IQ", kind, len(v)) + b"".join(map(pack, v))
    base = {"general.architecture": "llama", "llama.block_count": 1, "llama.context_length": 64, "llama.embedding_length": 32,
        "llama.feed_forward_length": 32, "llama.attention.head_count": 1, "llama.attention.layer_norm_rms_epsilon": 1e-5}
    entries = {**base, **entries}
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)))
        for k, v in entries.items():
            kind, data = value(v)
            f.write(text(k) + struct.pack("<I", kind) + data)


def hash_of(ids):
    """FNV-1a of the ids as little-endian 32-bit words."""
    h = 0x811C9DC5
    for byte in struct.pack(f"<{len(ids)}I", *ids):
        h = (h ^ byte) * 0x01000193 % 2**32
    return f"{h:08x}"


def train(byte_level):
    """Tokens and merges of texts that nothing cuts."""
    tokenizer = Tokenizer(models.BPE())
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=256 + 2000, initial_alphabet=alphabet, max_token_length=12, show_progress=False)
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        trainer = trainers.BpeTrainer(vocab_size=1700, limit_alphabet=400, max_token_length=12, show_progress=False)
    texts = fuzz.texts(7, 3000)[4:-4]
    # A token of NUL alone is an empty one to C.
    for token in ["\0", "<0x41>", *dict(ADDED)]:
        texts = [t.replace(token, "") for t in texts]
    # Every pair of characters that some pre-tokenizer tells apart.
    texts += [a + b for a in PAIRED for b in PAIRED for _ in range(40)]
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(m) for m in model["merges"]]


def vocabularies():
    """bpe.json and spm.json: {tokens, types, merges}; trained where they are not there, as no two trainings are equal."""
    paths = [os.path.join(HERE, name) for name in ("bpe.json", "spm.json")]
    if not all(map(os.path.exists, paths)):
        for path, vocab in zip(paths, train_both()):
            with open(path, "w") as f:
                json.dump(vocab, f, ensure_ascii=False, separators=(",", ":"))
                f.write("\n")
    return [json.load(open(path)) for path in paths]


def train_both():
    tokens, merges = train(True)
    # Tokens that no merge reaches: what ignore_merges is for.
    whole = ["iPhone", "HTTP", "Server", "ĠHello", "Ġreturn", "123", "456", "'re", "'VE", "Camel", "ĊĊĊ", "ĠĠĠ", ".c", "ÐĶÐ°", "777"]
    tokens += [t for t in whole if t not in tokens]
    bpe = {"tokens": tokens + [t for t, _ in ADDED], "types": [NORMAL] * len(tokens) + [k for _, k in ADDED], "merges": merges}
    tokens, merges = train(False)
    head = [("<unk>", UNKNOWN), *ADDED] + [(f"<0x{b:02X}>", BYTE) for b in range(256)]
    tokens = [t for t in tokens if t not in dict(head)]
    spm = {"tokens": [t for t, _ in head] + tokens, "types": [k for _, k in head] + [NORMAL] * len(tokens), "merges": merges}
    return bpe, spm


SPM = [{}, {"add_space_prefix": False}, {"add_bos_token": False, "add_eos_token": True}, {"general.name": "Phi-3 mini", "more": ["<|endoftext|>"]}, {"scores": None}]
WORD_PIECE = [{}, {"add_bos_token": False, "add_sep_token": False, "add_eos_token": True}, {"normalizer.lowercase": False}, {"normalizer.strip_accents": False}]


def other_kinds(llama, spm, texts, scratch):
    """For each kind of vocabulary and each of its keys: hashes of all that llama.cpp says of each text."""
    id = spm["tokens"].index
    rank = {left + right: -float(i) for i, (left, right) in enumerate(m.split(" ") for m in spm["merges"])}
    base = {"tokens": spm["tokens"], "token_type": spm["types"], "bos_token_id": id("<s>"), "eos_token_id": id("</s>"), "unknown_token_id": id("<unk>")}
    # llama.cpp has no bytes in WordPiece.
    types = [NORMAL if kind == BYTE else kind for kind in spm["types"]]
    llama_base = {"model": "llama", "scores": [rank.get(t, 0.0) for t in spm["tokens"]]}
    rows = []
    for kind, keys in [(llama_base, SPM), ({"model": "bert", "token_type": types, "seperator_token_id": id("</s>")}, WORD_PIECE)]:
        for more in keys:
            entries = {k: v for k, v in {**base, **kind, **more}.items() if v is not None}
            for control in entries.pop("more", []):
                entries |= {"tokens": entries["tokens"] + [control], "token_type": entries["token_type"] + [CONTROL], "scores": entries["scores"] + [0.0]}
            gguf(scratch, {k if k.startswith("general.") else f"tokenizer.ggml.{k}": v for k, v in entries.items()})
            model, vocab = llama.open(scratch)
            hashes = ""
            for text in texts:
                ids, with_special, plain, whole = llama.answer(vocab, text)
                hashes += hash_of([*ids, 2**32 - 1, *with_special, 2**32 - 1, *plain, 2**32 - 1, *whole])
            llama.close(model)
            rows.append({"model": kind["model"], "keys": more, "hashes": hashes})
    return rows


LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def json_files():
    """tokenizer.json files, by the file that has their vocabulary and merges; None where it is the whole."""
    sequence = lambda key, *parts: {"type": "Sequence", key: list(parts)}
    replace = lambda a, b: {"type": "Replace", "pattern": {"String": a}, "content": b}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    bytes = [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    bos = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    fallback = {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    split = {"type": "Split", "pattern": {"Regex": LLAMA_3}, "behavior": "Isolated", "invert": False}
    return [
        ("spm.json", {"normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")), "model": fallback,
            "decoder": sequence("decoders", *bytes, strip), "post_processor": bos}),
        ("spm.json", {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}, "model": fallback,
            "decoder": sequence("decoders", *bytes, strip)}),
        ("spm.json", {"normalizer": replace(" ", "▁"), "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
            "model": fallback, "decoder": sequence("decoders", *bytes)}),
        ("bpe.json", {"pre_tokenizer": sequence("pretokenizers", split, level), "model": {"type": "BPE", "ignore_merges": True}, "decoder": level}),
        ("bpe.json", {"normalizer": {"type": "NFC"}, "pre_tokenizer": {**level, "use_regex": True, "add_prefix_space": True}, "model": {"type": "BPE"}, "decoder": level}),
    ]


def by_tokenizers(bpe, spm, texts):
    """The same hashes for tokenizer.json files, by the tokenizers library."""
    rows = []
    for name, file in json_files():
        vocab = bpe if name == "bpe.json" else spm
        # Some of the added tokens with flags.
        flags = {"<|user|>": {"lstrip": True, "rstrip": True}, "[tool]": {"single_word": True}}
        file["added_tokens"] = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": k != USER_DEFINED, **flags.get(t, {})}
            for i, (t, k) in enumerate(zip(vocab["tokens"], vocab["types"])) if k in (UNKNOWN, CONTROL, USER_DEFINED)]
        model = {**file["model"], "vocab": {t: i for i, t in enumerate(vocab["tokens"])}, "merges": vocab["merges"]}
        tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", **file, "model": model}))
        hashes = ""
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            plain, whole = (tokenizer.decode(ids, skip_special_tokens=skip).encode() for skip in (True, False))
            hashes += hash_of([*ids, 2**32 - 1, *single(tokenizer.encode(text).ids, ids), 2**32 - 1, *plain, 2**32 - 1, *whole])
        rows.append({"vocab": name, "file": file, "hashes": hashes})
    return rows


def real(llama, paths, texts):
    """Hashes of ids, ids with BOS and whole texts, by file. Not every vocabulary has a token for each byte."""
    readable = lambda data: data.decode("utf-8", "replace").encode()
    rows = {}
    for path in paths:
        model, vocab = llama.open(path)
        answers = (llama.answer(vocab, text) for text in texts)
        rows[os.path.basename(path)] = "".join(hash_of([*ids, 2**32 - 1, *with_special, 2**32 - 1, *readable(whole)]) for ids, with_special, _, whole in answers)
        llama.close(model)
    return rows


def main():
    llama = Llama(sys.argv[1])
    bpe, spm = vocabularies()
    texts = fuzz.texts(1, 300)
    scratch = os.path.join(tempfile.mkdtemp(), "vocab.gguf")
    rows, unknown = {}, []
    key = lambda entries: {f"tokenizer.ggml.{k}": v for k, v in entries.items()}
    def row(label, path):
        model, vocab = llama.open(path)
        rows.setdefault("".join(hash_of(llama.encode(vocab, t)) for t in texts), []).append(label)
        llama.close(model)
    for pre in [*PRES, None]:
        vocab = spm if pre in RAW else bpe
        entries = {"model": "whitespace" if pre == "whitespace" else "gpt2", "tokens": vocab["tokens"], "token_type": vocab["types"], "merges": vocab["merges"],
            "bos_token_id": vocab["tokens"].index("<s>"), "eos_token_id": vocab["tokens"].index("</s>")}
        gguf(scratch, key({**entries, **({"pre": pre} if pre else {})}))
        try:
            row(pre or "", scratch)
        except ValueError:
            unknown.append(pre)
    print("not known to this llama.cpp:", unknown)
    with open(os.path.join(HERE, "goldens.json"), "w") as f:
        json.dump({"gpt2": rows, "others": other_kinds(llama, spm, texts, scratch), "json": by_tokenizers(bpe, spm, texts)}, f, ensure_ascii=False, indent=0)
        f.write("\n")
    print(len(rows), [v for v in rows.values()])
    if len(sys.argv) > 2:
        with open(os.path.join(HERE, "../real/tokenizers.json"), "w") as f:
            json.dump(real(llama, sys.argv[2:], texts), f, indent=0)
            f.write("\n")


if __name__ == "__main__":
    main()
