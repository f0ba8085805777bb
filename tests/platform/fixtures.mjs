// What the suites need on disk and on a server; used by the runners for Node, Deno and the browsers.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { withString } from "./gguf.mjs";
import { startFaultServer } from "./server.mjs";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const GOLDENS = join(ROOT, "tests/goldens/gguf-models");
export const TINY = join(ROOT, "models/lacewing-tiny");
export const TINY_GOLDEN = join(ROOT, "tests/goldens/lacewing-tiny.json");
export const REAL_GOLDEN = join(ROOT, "tests/goldens/real/smollm2.json");
export const REAL = join(ROOT, "test-models", JSON.parse(readFileSync(REAL_GOLDEN, "utf8")).model.file);
export const CASES = join(ROOT, "tests/goldens/cases");
export const SHARED = join(ROOT, "../shared/models");
export const MODEL = join(GOLDENS, "llama-Q4_0.gguf");
export const TRAINED = join(SHARED, "stories260K-F16.gguf");

/** A folder of its own and the fault server; `close` removes both. */
export async function startFixtures() {
  const folder = mkdtempSync(join(tmpdir(), "lacewing-"));
  const made = join(folder, "made");
  mkdirSync(made);
  writeFileSync(join(made, "empty.gguf"), "");
  writeFileSync(join(made, "garbage.gguf"), "This is no model.".repeat(100));
  writeFileSync(join(made, "padded.gguf"), withString(new Uint8Array(readFileSync(MODEL)), "test.padding", "x".repeat(20 << 20)));
  copyFileSync(TINY_GOLDEN, join(made, "lacewing-tiny.json"));
  copyFileSync(REAL_GOLDEN, join(made, "smollm2.json"));
  const cases = join(folder, "cases");
  unpackCases(cases);
  const directories = { cases: CASES, files: cases, goldens: GOLDENS, tiny: TINY, real: dirname(REAL), made, ...(existsSync(TRAINED) ? { shared: SHARED } : {}) };
  const server = await startFaultServer(directories);
  return {
    folder,
    made,
    cases,
    base: server.url,
    realUrl: `${server.url}range/real/${basename(REAL)}`,
    async close() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The files of cases.bin; tests/goldens/cases/make.py says how they lie in it. */
function unpackCases(folder) {
  const bytes = gunzipSync(readFileSync(join(CASES, "cases.bin")));
  let at = bytes.indexOf("\n") + 1;
  for (const [path, length] of JSON.parse(bytes.subarray(0, at).toString())) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes.subarray(at, (at += length)));
  }
}
