"""Goldens of the small files beside a tokenizer.json, by AutoTokenizer of transformers (5.24.0): python make_added.py

Writes added.json: a tokenizer.json of single characters, texts, and random variants: added_tokens of tokenizer.json,
tokenizer_config.json, special_tokens_map.json, added_tokens.json, and what becomes of them: the ids of BOS and EOS, and
hashes of the ids of each text and of what is shown of them. Variants that transformers refuses, or that get a
second BOS, are left out.
"""

import json, logging, os, random, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers
from transformers import AutoTokenizer
from make_goldens import hash_of

HERE = os.path.dirname(os.path.abspath(__file__))
LETTERS = "abcdefghijklmnopqrstuvwxyz <>|/_[]\n"
POOL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[PAD]", "tool", "<Unk>", "ab", "a", "<img>", "x y"]
TEXTS = ["<s>hi</s>", "a <|im_start|> ab\n<|im_end|>  x", "toolbox tool stool", "<UNK> <Unk><unk>", " [PAD] \n [pad]", "x y</s> <img>a b", "Ab AB ab"]
NAMED = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]
FILES = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
N = 100


def base():
    ids = {letter: i for i, letter in enumerate(LETTERS)}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": ids, "merges": []}}


def token(r, text):
    """A token with the flags that are true; now and then with the most usual false one."""
    flags = {flag: True for flag in FLAGS if r.random() < (0.6 if flag == "special" else 0.2)}
    if r.random() < 0.5:
        flags.setdefault("normalized", False)
    if text != text.lower():
        # This version of tokenizers shows such tokens in lower case, and special ones at all.
        flags["normalized"] = False
    return {"content": text, **flags}


def variant(r):
    n = len(LETTERS)
    some = lambda most: r.sample(POOL, r.randint(0, most))
    in_json = [{"id": LETTERS.index(t) if len(t) == 1 else None, **token(r, t)} for t in some(4)]
    beyond = n
    for entry in in_json:
        if entry["id"] is None:
            entry["id"] = beyond
            beyond += 1
    config, map, added = {"tokenizer_class": "PreTrainedTokenizerFast"}, None, None
    others = [t for t in some(5) if t not in [e["content"] for e in in_json]]
    if r.random() < 0.5:
        # Those of tokenizer.json by their ids, some with other flags (but `normalized`, where versions of tokenizers
        # differ); the others by any.
        listed = {str(e["id"]): {**token(r, e["content"]), "normalized": e.get("normalized", False)} if r.random() < 0.2 else {"normalized": False, **{k: e[k] for k in e if k != "id"}} for e in in_json if r.random() < 0.7}
        ids = r.sample([i for i in range(n + 12) if i not in [e["id"] for e in in_json]], len(others))
        config["added_tokens_decoder"] = {**{str(i): token(r, t) for i, t in zip(ids, others)}, **listed}
    # Versions of tokenizers differ where one text has two sets of flags; the model's own tokens have none.
    forms = {text: text if r.random() < 0.6 else token(r, text) for text in POOL}
    bare = [text for text in POOL if forms[text] == text]
    few = lambda most: r.sample(bare, min(len(bare), r.randint(0, most)))
    typed = lambda form: form if isinstance(form, str) else {"__type": "AddedToken", **form}
    named = lambda form: {k: form(forms[r.choice(POOL if k in NAMED else bare)]) for k in NAMED + ["image_token"] if r.random() < 0.3 and bare}
    config |= named(typed)
    if r.random() < 0.3:
        config["additional_special_tokens"] = few(3)
    if r.random() < 0.2:
        config["extra_special_tokens"] = few(2) if r.random() < 0.5 else {f"x{i}_token": t for i, t in enumerate(few(2))}
    if r.random() < 0.3:
        config[r.choice(["add_bos_token", "add_eos_token"])] = r.random() < 0.5
    if r.random() < 0.4:
        map = named(lambda form: form)
        if r.random() < 0.3:
            map[r.choice(["additional_special_tokens", "extra_special_tokens"])] = few(2)
    if r.random() < 0.3:
        added = {t: i for i, t in zip(r.sample(range(n - 2, n + 6), 3), others) if t == t.lower() and t in bare}
    processor = None
    if in_json and r.random() < 0.3:
        first = in_json[0]
        processor = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": first["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {first["content"]: {"id": first["content"], "ids": [first["id"]], "tokens": [first["content"]]}}}
    if r.random() < 0.1:
        config = None
    return {"added_tokens": in_json, **({"post_processor": processor} if processor else {}), "files": [config, map, added]}


def answer(variant):
    with tempfile.TemporaryDirectory() as folder:
        write = lambda name, value: json.dump(value, open(os.path.join(folder, name), "w"))
        write("config.json", {"model_type": "llama"})
        added = [{**dict.fromkeys(FLAGS, False), **token} for token in variant["added_tokens"]]
        write("tokenizer.json", {**base(), "added_tokens": added, "post_processor": variant.get("post_processor")})
        for name, value in zip(FILES, variant["files"]):
            if value is not None:
                write(name, value)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer).__name__ == "TokenizersBackend"
    # Unlike transformers we do not add a BOS that the text has.
    assert not variant.get("post_processor") or tokenizer.bos_token_id != variant["added_tokens"][0]["id"], "BOS is added"
    ids = [tokenizer.encode(text) for text in TEXTS]
    shown = [tokenizer.decode(i, skip_special_tokens=True) for i in ids]
    return {"ends": [tokenizer.bos_token_id, tokenizer.eos_token_id], "ids": "".join(map(hash_of, ids)),
        "shown": "".join(hash_of(text.encode()) for text in shown)}


def main():
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()
    r, variants, refused = random.Random(1), [], 0
    while len(variants) < N:
        one = variant(r)
        try:
            variants.append({**one, **answer(one)})
        except Exception as error:  # Whatever transformers raises is a refusal.
            refused += 1
            print(repr(error)[:120])
    with open(os.path.join(HERE, "added.json"), "w") as f:
        f.write(json.dumps({"base": base(), "texts": TEXTS}, ensure_ascii=False)[:-1] + ',"variants":[\n')
        f.write(",\n".join(json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in variants) + "\n]}\n")
    print(f"{len(variants)} variants, {refused} refused")


main()
