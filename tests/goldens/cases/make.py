"""Makes cases.bin: the small models of cases.json, each one habit of real files. Needs numpy.

The file is gzip of one line of JSON, [[path, length], ..], and the bytes of those files in that order: what is the same in
all of them takes no room, and a test reads it without a tool. Run it again after a change of gen_*.py.
"""
import gzip, json, os, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
with tempfile.TemporaryDirectory() as out:
    for kind in ("gguf", "hf", "odd", "more"):
        subprocess.run([sys.executable, os.path.join(HERE, f"gen_{kind}.py"), os.path.join(out, kind)], check=True)
    paths = sorted(os.path.relpath(os.path.join(d, f), out) for d, _, files in os.walk(out) for f in files)
    blobs = [open(os.path.join(out, p), "rb").read() for p in paths]
head = json.dumps([[p, len(b)] for p, b in zip(paths, blobs)]).encode()
with open(os.path.join(HERE, "cases.bin"), "wb") as f:
    f.write(gzip.compress(head + b"\n" + b"".join(blobs), 9, mtime=0))
