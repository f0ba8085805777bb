// Names of files: what a file is, its first bytes say. The rows are those of tests/formats/disk.rs. See suite.mjs for
// `context`; `context.cases` is a folder where the runtime has paths.
import { equal, fails, Skip } from "./harness.mjs";

export function nameTests({ load, base, cases, LacewingError }, { options }) {
  const plain = async () => new Uint8Array(await (await fetch(`${base}range/files/gguf/g01-plain.gguf`)).arrayBuffer());
  const text = (t) => new TextEncoder().encode(t);
  const safetensors = text("\x08\0\0\0\0\0\0\0{}      ");
  const rows = async () => {
    const gguf = await plain();
    return [
      ["sha256-4f1a", gguf, "ok"],
      ["sha256:4f1a", gguf, "ok"],
      ["C:model:latest", gguf, "ok"],
      ["model.GGUF", gguf, "ok"],
      ["model.bin", gguf, "ok"],
      ["model.gguf.part", gguf, "ok"],
      ["config.json", gguf, "ok"],
      ["back\\slash", gguf, "ok"],
      ["..model", gguf, "ok"],
      ["a b#c%20?.gguf", gguf, "ok"],
      ["模型", gguf, "ok"],
      ["model.gguf", text("<html>"), "bad-file"],
      ["model", text(""), "unsupported-format"],
      ["sha256-00", text("GGML"), "unsupported-format"],
      ["model.safetensors", safetensors, "bad-request"],
      ["sha256-11", safetensors, "bad-request"],
      ["pytorch_model.bin", text("PK\x03\x04"), "unsupported-format"],
      ["ggml-model.bin", text("tjgg\x03\0\0\0"), "unsupported-format"],
    ];
  };
  const check = async (what, source, wanted) => {
    if (wanted !== "ok") return void (await fails(wanted, load(source, options), LacewingError));
    const model = await load(source, options);
    equal((await model.session().prompt("", { maxTokens: 6, temperature: 0 })).text, "abc", `reply of ${what}`);
    await model.dispose();
  };
  const file = (name, bytes) => new File([bytes], name);

  return [
    ["the first bytes of a File say what it is", async () => {
      for (const [name, bytes, wanted] of await rows()) {
        await check(name, file(name, bytes), wanted);
        // config.json among others is the sign of a directory.
        if (name !== "config.json") await check(`[${name}]`, [file(name, bytes)], wanted);
      }
      await check("a File without a name", file("", await plain()), "ok");
    }],
    ["the GGUF among other files is found", async () => {
      const gguf = await plain();
      const readme = file("README.md", text("?"));
      await check("a blob", [readme, file("sha256-4f1a", gguf)], "ok");
      await check("a path", [{ path: "blobs/sha256:4f1a", file: file("x", gguf) }, { path: "blobs/manifest", file: readme }], "ok");
      await check("two blobs", [file("sha256-1", gguf), file("sha256-2", gguf)], "bad-request");
      await check("nothing", [readme, file("sha256-1", safetensors)], "bad-request");
      await check("an empty list", [], "bad-request");
      await check("GGUF with a config.json", [file("config.json", text("{}")), file("model.gguf", gguf)], "ok");
      const part = async (n) => (await fetch(`${base}range/files/gguf/g17-0000${n}-of-00002.gguf`)).blob();
      const parts = [1, 2].map(async (n) => ({ path: `x:y/g-0000${n}-of-00002`, file: file("any", await part(n)) }));
      await check("parts without an extension", await Promise.all(parts), "ok");
      await check("one part of two", [file("g-00001-of-00002.gguf", await part(1))], "download-failed");
    }],
    ["files come over HTTP whatever their name", async () => {
      for (const name of ["MODEL.GGUF", "a b#c%20.gguf", "模型.gguf"]) {
        await check(name, `${base}range/files/odd/${encodeURIComponent(name)}`, "ok");
      }
    }],
    ["paths of any name, and links into a store of blobs", async () => {
      if (!cases || globalThis.process?.platform === "win32") throw new Skip("no paths, or not these names");
      const { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } = await import("node:fs");
      const folder = mkdtempSync(`${cases}-names-`);
      for (const [name, bytes, wanted] of await rows()) {
        writeFileSync(`${folder}/${name}`, bytes);
        await check(name, `${folder}/${name}`, wanted);
      }
      mkdirSync(`${folder}/blobs`);
      mkdirSync(`${folder}/snapshot`);
      writeFileSync(`${folder}/blobs/sha256:1`, await plain());
      symlinkSync("../blobs/sha256:1", `${folder}/snapshot/model.gguf`);
      await check("a link", `${folder}/snapshot/model.gguf`, "ok");
      await check("its blob", `${folder}/blobs/sha256:1`, "ok");
      for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) symlinkSync(`${cases}/hf/h01-plain/${name}`, `${folder}/snapshot/${name}`);
      const model = await load(`${folder}/snapshot`, options);
      equal((await model.session().prompt("a", { maxTokens: 6, temperature: 0 })).text, "bc", "reply of a directory of links");
      await model.dispose();
    }],
  ];
}
