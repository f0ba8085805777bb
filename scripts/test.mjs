// `npm test`: everything, in the order in which mistakes are cheapest to find. The last lines have the numbers.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, runAndRead, setup } from "./common.mjs";
import { fetchRealModels } from "./real-models.mjs";

// Mesa keeps compiled shaders, which take most of the time of a first run; beside what cargo keeps they travel with it.
process.env.MESA_SHADER_CACHE_DIR ??= join(ROOT, "target/mesa");

/** Test binaries that take less are not listed. */
const SHOWN_SECONDS = 5;

const total = { passed: 0, failed: 0 };
let skipped = 0;
const failures = [];
/** [seconds, name] of every step, and of the test binaries behind theirs. */
const times = [];

function count(name, counts) {
  total.passed += counts.passed;
  total.failed += counts.failed;
  skipped += counts.skipped ?? 0;
  if (counts.failed > 0) failures.push(`${name}: ${counts.failed} failed`);
}

/** Runs and times one step; `start` resolves to its counts, and what it throws is one failure. */
async function suite(name, start) {
  console.log(`\n== ${name}`);
  const [begin, row] = [performance.now(), [0, name]];
  times.push(row);
  let counts;
  try {
    counts = await start();
  } catch (error) {
    console.log(`FAILED   ${name}: ${error.stack ?? error}`);
    counts = { passed: 0, failed: 1 };
  }
  row[0] = (performance.now() - begin) / 1000;
  count(name, counts);
  return counts.failed === 0;
}

/** A step that either works or does not. */
function step(name, command, args, env) {
  return suite(name, () => {
    const ok = run(command, args, env);
    return { passed: +ok, failed: +!ok };
  });
}

/** `cargo test`: its tests are counted one by one; a build that fails is one failure. */
async function cargoTest() {
  const wgsl = join(ROOT, "test-output/wgsl.json");
  mkdirSync(join(ROOT, "test-output"), { recursive: true });
  const { ok, text } = await runAndRead("cargo", ["test", "--workspace", "--no-fail-fast", "--", "--show-output"], { LACEWING_DUMP_WGSL: wgsl });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let binary = "";
  for (const line of text.split("\n")) {
    binary = /^ +(?:Running|Doc-tests) (?:unittests )?(\S+)/.exec(line)?.[1] ?? binary;
    const result = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;.*finished in ([\d.]+)s/.exec(line);
    if (!result) continue;
    const [passed, failed, ignored, seconds] = result.slice(1).map(Number);
    counts.passed += passed;
    counts.failed += failed;
    counts.skipped += ignored;
    if (seconds >= SHOWN_SECONDS) times.push([seconds, `  of which ${binary}`]);
  }
  // Tests that lack files beside the project pass with a line that says so.
  counts.skipped += [...text.matchAll(/^skipped: /gm)].length;
  if (!ok && counts.failed === 0) counts.failed = 1;
  return counts;
}

/** A model that cannot be had is a failure: a test that runs without it would say nothing. */
async function fetchModels() {
  const failed = await fetchRealModels();
  for (const line of failed) console.log(`FAILED   ${line}`);
  return { passed: Number(failed.length === 0), failed: failed.length };
}

setup();
const { prepareSystem } = await import("./debian.mjs");
const missing = prepareSystem();
if (missing.length > 0) {
  console.error(`The tests need more than this system has:\n  - ${missing.join("\n  - ")}`);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

await step("formatting", "cargo", ["fmt", "--all", "--check"]);
await suite("trained models", fetchModels);
await step("clippy", "cargo", ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]);
await step("clippy for wasm", "cargo", ["clippy", "--lib", "--target", "wasm32-unknown-unknown", "--profile", "wasm", "--quiet", "--", "--deny", "warnings"]);
await step("training data", "python3", ["-B", "-m", "unittest", "discover", "--start-directory", "models/train"]);
await suite("cargo test", cargoTest);
if (await step("package and sizes", "cargo", ["xtask", "build"])) {
  // Loaded here and not above: before `npm ci` they could not be.
  const { runPlatforms } = await import("../tests/platform/run.mjs");
  const { runBrowsers } = await import("../tests/browser/run.mjs");
  const lane = async (names, start) => {
    for (const name of names) await suite(name, () => start([name]));
  };
  // Software GPUs and compilers of shaders leave a core idle most of the time; Chromium's takes as long as all others.
  const others = async () => {
    await lane(["types", "tint", "node", "deno"], runPlatforms);
    await lane(["firefox"], runBrowsers);
  };
  await Promise.all([lane(["chromium"], runBrowsers), others()]);
}

console.log("");
for (const [seconds, name] of times) console.log(`${seconds.toFixed(1).padStart(7)} s  ${name}`);
console.log(`${(performance.now() / 1000).toFixed(1).padStart(7)} s  in all\n`);
if (skipped > 0) console.log(`${skipped} skipped (each has a line above)`);
for (const line of failures) console.log(line);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
