// `npm test`: everything, in the order in which mistakes are cheapest to find. The last line has the numbers.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, runAndRead, setup } from "./common.mjs";

const total = { passed: 0, failed: 0 };
let skipped = 0;
const failures = [];

function count(name, counts) {
  total.passed += counts.passed;
  total.failed += counts.failed;
  skipped += counts.skipped ?? 0;
  if (counts.failed > 0) failures.push(`${name}: ${counts.failed} failed`);
}

/** A step that either works or does not. */
function step(name, command, args, env) {
  console.log(`\n== ${name}`);
  const ok = run(command, args, env);
  count(name, { passed: +ok, failed: +!ok });
  return ok;
}

/** `cargo test`: its tests are counted one by one; a build that fails is one failure. */
async function cargoTest() {
  const name = "cargo test";
  console.log(`\n== ${name}`);
  const wgsl = join(ROOT, "test-output/wgsl.json");
  mkdirSync(join(ROOT, "test-output"), { recursive: true });
  const { ok, text } = await runAndRead("cargo", ["test", "--workspace", "--no-fail-fast", "--", "--show-output"], { LACEWING_DUMP_WGSL: wgsl });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed, ignored] of text.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  // Tests that lack files beside the project pass with a line that says so.
  counts.skipped += [...text.matchAll(/^skipped: /gm)].length;
  if (!ok && counts.failed === 0) counts.failed = 1;
  count(name, counts);
}

/** A suite that counts for itself. */
async function suite(name, start) {
  console.log(`\n== ${name}`);
  try {
    count(name, await start());
  } catch (error) {
    console.log(`FAILED   ${name}: ${error.stack ?? error}`);
    count(name, { passed: 0, failed: 1 });
  }
}

setup();
const { prepareSystem } = await import("./debian.mjs");
const missing = prepareSystem();
if (missing.length > 0) {
  console.error(`The tests need more than this system has:\n  - ${missing.join("\n  - ")}`);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

step("formatting", "cargo", ["fmt", "--all", "--check"]);
step("clippy", "cargo", ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]);
step("clippy for wasm", "cargo", ["clippy", "--lib", "--target", "wasm32-unknown-unknown", "--profile", "wasm", "--quiet", "--", "--deny", "warnings"]);
step("training data", "python3", ["-B", "-m", "unittest", "discover", "--start-directory", "models/train"]);
await cargoTest();
if (step("package and sizes", "cargo", ["xtask", "build"])) {
  // Loaded here and not above: before `npm ci` they could not be.
  const { runPlatforms } = await import("../tests/platform/run.mjs");
  const { runBrowsers } = await import("../tests/browser/run.mjs");
  for (const runtime of ["types", "tint", "node", "deno"]) await suite(runtime, () => runPlatforms([runtime]));
  for (const browser of ["chromium", "firefox"]) await suite(browser, () => runBrowsers([browser]));
}

console.log("");
if (skipped > 0) console.log(`${skipped} skipped (each has a line above)`);
for (const line of failures) console.log(line);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
