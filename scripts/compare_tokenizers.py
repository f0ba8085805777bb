"""Compares our tokenizers with those of the engines that the files are made for, over 300 random texts each.

    pip install transformers tokenizers xllamacpp
    cargo build --example tokenize_texts
    python scripts/compare_tokenizers.py target/debug/examples/tokenize_texts [--llama LIBRARY] [--seed N] PATH..

PATH is a directory (transformers: PreTrainedTokenizerFast, which takes tokenizer.json as it stands), a tokenizer.json
(tokenizers) or a GGUF file (llama.cpp: LIBRARY is xllamacpp.abi3.so of the package). Per PATH it prints how many texts
have equal ids, ids with BOS and EOS, texts of the ids without and with special tokens, and a stream that adds up to the
text; then the shortest text that differs.

Habits of the others that we do not share are left out of the comparison: a second BOS or end token at a text that has
one, the space that llama.cpp keeps at the beginning of a text whose special tokens are left out, and the spaces that its
llama_detokenize, but not its server, takes away from texts of byte-level BPE.
"""
import argparse
import json
import os
import subprocess
import sys

GOLDENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/goldens/tokenizers")
sys.path.insert(0, GOLDENS)
import fuzz  # noqa: E402
import make_goldens  # noqa: E402

KINDS = ("ids", "with_special", "text", "all", "streamed")


def readable(data):
    return data.decode("utf-8", "replace")


def llama(library, path):
    engine = make_goldens.Llama(library)
    _, vocab = engine.open(path)

    def answer(text):
        ids, with_special, plain, whole = engine.answer(vocab, text)
        return {"ids": ids, "with_special": with_special, "text": readable(plain), "streamed": readable(plain), "all": readable(whole)}
    return answer, engine.added(vocab)


def transformers(path):
    from transformers import PreTrainedTokenizerFast
    tokenizer = PreTrainedTokenizerFast.from_pretrained(path)

    def answer(text):
        ids = tokenizer.encode(text, add_special_tokens=False)
        plain = tokenizer.decode(ids, skip_special_tokens=True)
        return {"ids": ids, "with_special": make_goldens.single(tokenizer.encode(text), ids), "text": plain, "streamed": plain,
            "all": tokenizer.decode(ids)}
    return answer, list(tokenizer.get_added_vocab())


def tokenizers(path):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def answer(text):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        plain = tokenizer.decode(ids, skip_special_tokens=True)
        return {"ids": ids, "with_special": tokenizer.encode(text).ids, "text": plain, "streamed": plain,
            "all": tokenizer.decode(ids, skip_special_tokens=False)}
    return answer, [token.content for token in tokenizer.get_added_tokens_decoder().values()]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("ours")
    arguments.add_argument("paths", nargs="+")
    arguments.add_argument("--llama")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    worst = 0
    for path in options.paths:
        answer, added = transformers(path) if os.path.isdir(path) else tokenizers(path) if path.endswith(".json") else llama(options.llama, path)
        texts = fuzz.texts(options.seed, 300, fuzz.ADDED + added[:20])
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        run = subprocess.run([options.ours, path], input=lines, capture_output=True, text=True)
        if run.returncode:
            print(f"{path}: we refuse it: {run.stderr.strip()}")
            worst = 1
            continue
        ours = [json.loads(line) for line in run.stdout.split("\n")[:-1]]
        assert len(ours) == len(texts)
        theirs = [answer(text) for text in texts]
        counts = [sum(a[kind] == b[kind] for a, b in zip(ours, theirs)) for kind in KINDS]
        print(f"{path}: of {len(texts)} equal:", ", ".join(f"{kind} {n}" for kind, n in zip(KINDS, counts)))
        for kind in KINDS:
            wrong = [(text, a[kind], b[kind]) for text, a, b in zip(texts, ours, theirs) if a[kind] != b[kind]]
            if wrong:
                worst = 1
                text, a, b = min(wrong, key=lambda w: len(w[0]))
                print(f"  {kind} of {text!r}\n    ours   {str(a)[:300]!r}\n    theirs {str(b)[:300]!r}")
    sys.exit(worst)


main()
