// Packs the npm package, installs the tarball in an empty project and runs the suite there: `run.mjs node deno types`.
import { execFile, spawn } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { MODEL, REAL, ROOT, startFixtures } from "./fixtures.mjs";

const RESULT = "RESULT ";
const TYPES = `import { load, LacewingError, type Model, type Progress } from "lacewing";
import { load as loadInWorker } from "lacewing/worker";
import { load as loadNode } from "lacewing/node";
export async function use(): Promise<string> {
  const model: Model = await load("x.gguf", { onProgress: (p: Progress) => p.downloadedBytes, contextLength: 5 });
  await using other = await loadInWorker(new Uint8Array());
  await loadNode(new URL("https://example.org/x.gguf"));
  const reply = other.session({ system: "x" }).prompt([{ role: "user", content: "x" }], { stop: "x", temperature: 0 });
  for await (const piece of reply) piece.length;
  const { text, usage, finishReason } = await reply;
  const wrong = new LacewingError("offline", "x").code === finishReason as unknown;
  const stats = await model.stats();
  const numbers: number = stats.vocabSize + stats.heapBytes + stats.kvBytesPerToken;
  // @ts-expect-error Counters are those of the engine, no others.
  stats.noSuchCounter;
  const none: number | undefined = undefined;
  await load("x.gguf", { depth: none, kv: { storage: undefined }, headers: new Headers(), fetch, signal: undefined });
  await reply.catch((e) => e instanceof LacewingError && (e.name satisfies "LacewingError" | "AbortError", e.cause, e.details["url"]));
  // @ts-expect-error A misspelt option is an error of types, too.
  await load("x.gguf", { contextLenght: 5 });
  return text + numbers + usage.completionTokens + wrong + (await model.logits([1])).vocabSize;
}
`;

/** Does not block: the servers of other suites live in this process. */
async function check(command, args, options) {
  try {
    await promisify(execFile)(command, args, { shell: process.platform === "win32", ...options });
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")} failed:\n${error.stdout ?? ""}${error.stderr ?? ""}${error.message}`);
  }
}

/** An empty project with the packed package in it. */
async function install(folder) {
  const project = join(folder, "project");
  mkdirSync(project);
  await check("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: join(ROOT, "pkg") });
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  await check("npm", ["install", "--silent", "--offline", "--no-audit", "--no-fund", "--legacy-peer-deps", join(folder, tarball)], { cwd: project });
  // The optional peer, as the workspace has it.
  symlinkSync(join(ROOT, "node_modules/webgpu"), join(project, "node_modules/webgpu"), "junction");
  return project;
}

function program(runtime, base, cases) {
  const suite = (name) => JSON.stringify(pathToFileURL(join(ROOT, "tests/platform", name)).href);
  return `import { load, LacewingError } from "lacewing";
import { load as loadInWorker } from "lacewing/worker";
// Not entries of the package, but parts of it that are tested alone.
import { pathOfUrl } from "./node_modules/lacewing/dist/fs.js";
import { HttpFiles } from "./node_modules/lacewing/dist/http.js";
import { suite } from ${suite("suite.mjs")};
import { runTests } from ${suite("harness.mjs")};
const context = ${JSON.stringify({ where: runtime, base, cases, modelPath: MODEL, real: runtime === "node" ? REAL : undefined })};
const counts = await runTests("${runtime}", suite({ ...context, pathOfUrl, HttpFiles, load, loadInWorker, LacewingError }));
console.log("${RESULT}" + JSON.stringify(counts));
`;
}

/** Dawn's own compiler, with all features of the driver: SwiftShader in Chromium lacks some. */
function tintProgram() {
  const here = (name) => JSON.stringify(pathToFileURL(join(ROOT, "tests/platform", name)).href);
  return `import { readFileSync } from "node:fs";
import { create, globals } from "webgpu";
import { compileAll } from ${here("shaders.mjs")};
import { runTests } from ${here("harness.mjs")};
Object.assign(globalThis, globals);
const variants = JSON.parse(readFileSync(${JSON.stringify(join(ROOT, "test-output/wgsl.json"))}, "utf8"));
const gpu = create([]);
const compile = () => compileAll(variants, gpu, "tint", "all", console.log);
const counts = await runTests("tint", [["every shader variant compiles", compile]]);
console.log("${RESULT}" + JSON.stringify(counts));
process.exit(0);
`;
}

/** Runs a program, shows its output and gives the counts that its last line tells. */
function run(command, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
    let counts;
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (data) => {
      const lines = (rest + data).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith(RESULT)) counts = JSON.parse(line.slice(RESULT.length));
        else console.log(line);
      }
    });
    const failed = (why) => {
      console.log(`FAILED   ${command}: ${why}`);
      resolve({ passed: 0, failed: 0, skipped: 0, ...counts, failed: (counts?.failed ?? 0) + 1 });
    };
    child.on("error", (error) => failed(error.message));
    child.on("close", (code, signal) => {
      if (counts && code === 0) resolve(counts);
      else failed(`it ended with ${signal ?? code}${counts ? " after its tests" : " before its tests were done"}`);
    });
  });
}

/** Runs the suite in each of `runtimes`; the sum of their counts. */
export async function runPlatforms(runtimes) {
  const fixtures = await startFixtures();
  const sum = { passed: 0, failed: 0, skipped: 0 };
  try {
    const project = await install(fixtures.folder);
    for (const runtime of runtimes) {
      let counts;
      if (runtime === "types") {
        writeFileSync(join(project, "types.ts"), TYPES);
        const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
        const options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "ES2022", "--module", "NodeNext", "--lib", "ES2022,ESNext.Disposable,DOM,DOM.AsyncIterable"];
        counts = await run(process.execPath, ["-e", `
          const { status, stdout } = require("node:child_process").spawnSync(process.execPath, ${JSON.stringify([tsc, ...options, "types.ts"])}, { encoding: "utf8" });
          console.log((status === 0 ? "ok       types: the declarations of the package" : "FAILED   types:\\n" + stdout));
          console.log(${JSON.stringify(RESULT)} + JSON.stringify({ passed: +(status === 0), failed: +(status !== 0), skipped: 0 }));`], project);
      } else if (runtime === "tint") {
        writeFileSync(join(project, "tint.mjs"), tintProgram());
        counts = await run(process.execPath, ["tint.mjs"], project);
      } else {
        writeFileSync(join(project, "main.mjs"), program(runtime, fixtures.base, runtime === "node" ? fixtures.cases : undefined));
        const deno = join(ROOT, "node_modules/deno/bin.cjs");
        counts = runtime === "deno"
          ? await run(process.execPath, [deno, "run", "--allow-all", "--unstable-webgpu", "--no-lock", "main.mjs"], project)
          : await run(process.execPath, ["main.mjs"], project);
      }
      for (const key of Object.keys(sum)) sum[key] += counts[key];
    }
  } finally {
    await fixtures.close();
  }
  return sum;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const counts = await runPlatforms(process.argv.length > 2 ? process.argv.slice(2) : ["types", "tint", "node", "deno"]);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}
