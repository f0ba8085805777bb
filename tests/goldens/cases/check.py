"""Compares cases.json with llama.cpp and transformers: python check.py LIBRARY

LIBRARY is a shared library that exports llama.h, as in ../tokenizers/make_goldens.py. Needs torch and transformers.
Prints each row whose file the reference takes and gives another result for; one with a "why" is meant to differ. A file
that only the reference refuses is no fault.
"""
import contextlib, ctypes, gzip, io, json, logging, os, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_TOKENS = 6


def unpack(folder):
    data = gzip.decompress(open(os.path.join(HERE, "cases.bin"), "rb").read())
    head, _, rest = data.partition(b"\n")
    for path, size in json.loads(head):
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "wb") as f:
            f.write(rest[:size])
        rest = rest[size:]


class LlamaCpp:
    """The parts of llama.h that a greedy reply needs."""

    def __init__(self, path):
        self.lib = lib = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        pointer, i32 = ctypes.c_void_p, ctypes.c_int32

        # Longer than any version's: what comes by value lies on the stack, and the callee reads what it knows.
        class Params(ctypes.Structure):
            _fields_ = [("n_ctx", ctypes.c_uint32), ("rest", ctypes.c_ubyte * 1020)]

        class Batch(ctypes.Structure):
            _fields_ = [("n", i32), ("pointers", pointer * 6)]

        quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, pointer)
        self.log = []
        self.quiet = quiet(lambda level, text, _: self.log.append(text.decode(errors="replace")) if level >= 4 else None)
        lib.llama_log_set(self.quiet, None)
        lib.llama_backend_init()
        for name in ("model", "context"):
            getattr(lib, f"llama_{name}_default_params").restype = Params
        lib.llama_model_load_from_file.restype = lib.llama_model_get_vocab.restype = lib.llama_init_from_model.restype = pointer
        lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Params]
        lib.llama_init_from_model.argtypes = [pointer, Params]
        lib.llama_model_get_vocab.argtypes = lib.llama_model_free.argtypes = lib.llama_free.argtypes = [pointer]
        lib.llama_tokenize.argtypes = [pointer, ctypes.c_char_p, i32, pointer, i32, ctypes.c_bool, ctypes.c_bool]
        lib.llama_token_to_piece.argtypes = [pointer, i32, ctypes.c_char_p, i32, i32, ctypes.c_bool]
        lib.llama_detokenize.argtypes = [pointer, pointer, i32, ctypes.c_char_p, i32, ctypes.c_bool, ctypes.c_bool]
        lib.llama_vocab_is_eog.argtypes = [pointer, i32]
        lib.llama_vocab_is_eog.restype = lib.llama_vocab_get_add_bos.restype = ctypes.c_bool
        lib.llama_vocab_n_tokens.argtypes = lib.llama_vocab_bos.argtypes = lib.llama_vocab_eos.argtypes = lib.llama_vocab_get_add_bos.argtypes = [pointer]
        lib.llama_batch_get_one.restype = Batch
        lib.llama_batch_get_one.argtypes = [pointer, i32]
        lib.llama_decode.argtypes = [pointer, Batch]
        lib.llama_get_logits_ith.restype = ctypes.POINTER(ctypes.c_float)
        lib.llama_get_logits_ith.argtypes = [pointer, i32]
        lib.llama_model_chat_template.restype = ctypes.c_char_p
        lib.llama_model_chat_template.argtypes = [pointer, ctypes.c_char_p]

    def tokens(self, vocab, text):
        ids = (ctypes.c_int32 * 1024)()
        n = self.lib.llama_tokenize(vocab, text.encode(), len(text.encode()), ids, 1024, True, True)
        return list(ids[:n])

    def text(self, vocab, ids, special):
        out = ctypes.create_string_buffer(1024)
        n = self.lib.llama_detokenize(vocab, (ctypes.c_int32 * len(ids))(*ids), len(ids), out, 1024, False, special)
        return out.raw[:n].decode(errors="replace")

    def outcome(self, path, prompt, text):
        lib = self.lib
        self.log.clear()
        model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not model:
            return {"at": "load", "says": " ".join(self.log)[-300:].strip()}
        vocab = lib.llama_model_get_vocab(model)
        params = lib.llama_context_default_params()
        params.n_ctx = 256
        context = lib.llama_init_from_model(model, params)
        try:
            plain = self.tokens(vocab, prompt)
            template = lib.llama_model_chat_template(model, None)
            ids = plain
            if template:
                import jinja2
                names = {f"{name}_token": self.text(vocab, [getattr(lib, f"llama_vocab_{name}")(vocab)], True) for name in ("bos", "eos")}
                try:
                    rendered = jinja2.Template(template.decode(errors="replace"), trim_blocks=True, lstrip_blocks=True).render(messages=[{"role": "user", "content": prompt}], add_generation_prompt=True, **names)
                except jinja2.TemplateError as e:
                    return {"at": "prompt", "says": str(e)}
                # As common_chat_templates_apply: the tokenizer adds the BOS.
                if lib.llama_vocab_get_add_bos(vocab):
                    rendered = rendered.removeprefix(names["bos_token"])
                ids = self.tokens(vocab, rendered)
            if not ids:
                return {"at": "prompt", "says": "no tokens"}
            reply, batch = [], ids
            while len(reply) < MAX_TOKENS:
                array = (ctypes.c_int32 * len(batch))(*batch)
                if lib.llama_decode(context, lib.llama_batch_get_one(array, len(batch))):
                    return {"at": "prompt", "says": " ".join(self.log)[-300:]}
                n = lib.llama_vocab_n_tokens(vocab)
                logits = lib.llama_get_logits_ith(context, -1)[:n]
                token = max(range(n), key=logits.__getitem__)
                if lib.llama_vocab_is_eog(vocab, token):
                    break
                reply.append(token)
                batch = [token]
            # The space in front of the first word: llama_detokenize cuts it off, a stream of pieces does not.
            before = len(self.text(vocab, ids, False))
            texts = [self.text(vocab, reply, False), self.text(vocab, ids + reply, False)[before:]]
            return {"promptTokens": len(ids), "text": text if text in texts else texts[0], "ids": plain}
        finally:
            lib.llama_free(context)
            lib.llama_model_free(model)


def transformers_outcome(path, prompt):
    import torch, transformers
    transformers.logging.set_verbosity_error()
    logging.disable(logging.CRITICAL)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    except BaseException as e:
        return {"at": "load", "says": f"{type(e).__name__}: {e}"[:300]}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    except BaseException as e:
        return {"at": "tokenizer", "says": f"{type(e).__name__}: {e}"[:300]}
    try:
        plain = ids = tokenizer(prompt)["input_ids"]
        if tokenizer.chat_template is not None:
            ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=True, return_dict=False)
        found = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=MAX_TOKENS, do_sample=False)
        return {"promptTokens": len(ids), "text": tokenizer.decode(found[0][len(ids):], skip_special_tokens=True), "ids": plain}
    except BaseException as e:
        return {"at": "prompt", "says": f"{type(e).__name__}: {e}"[:300]}


def apart(run, *args):
    """What `run` gives in a process of its own: llama.cpp aborts where it asserts."""
    ours, theirs = os.pipe()
    if not (pid := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(theirs, json.dumps(run(*args)).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as f:
        found = f.read()
    status = os.waitpid(pid, 0)[1]
    return json.loads(found) if status == 0 else {"at": "abort"}


def main():
    os.environ["GGML_NO_BACKTRACE"] = "1"
    llama = LlamaCpp(sys.argv[1])
    rows = json.load(open(os.path.join(HERE, "cases.json")))
    wanted = sys.argv[2:]
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        unpack(folder)
        # A process with the threads of torch in it does not fork: files first.
        for row in sorted(rows, key=lambda row: os.path.isdir(os.path.join(folder, row["source"]))):
            if wanted and not any(w in row["source"] for w in wanted):
                continue
            path = os.path.join(folder, row["source"])
            with contextlib.redirect_stderr(io.StringIO()):
                found = transformers_outcome(path, row["prompt"]) if os.path.isdir(path) else apart(llama.outcome, path, row["prompt"], row["expect"].get("text"))
            expect = row["expect"]
            if "at" not in found and any(expect.get(key) != value for key, value in found.items()):
                differ += "why" not in row
                print(row["source"], "" if "why" in row else "DIFFERS", row.get("why", ""), "\n    expected", json.dumps(expect, ensure_ascii=False), "\n    found   ", json.dumps(found, ensure_ascii=False), flush=True)
    print(f"{differ} rows differ without a reason")


main()
