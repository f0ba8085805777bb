// A runner that works in Node, Deno and a page: the same tests run everywhere.

/** Thrown by a test that cannot run here; its line says why. */
export class Skip extends Error {}

/** Runs tests in order; `print` gets one line per test. Resolves to { passed, failed, skipped }. */
export async function runTests(where, tests, print = console.log) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, run] of tests) {
    const start = performance.now();
    try {
      await withTimeout(run(), 600_000);
      counts.passed++;
      print(`ok       ${where}: ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      if (error instanceof Skip) {
        counts.skipped++;
        print(`skipped: ${where}: ${name}: ${error.message}`);
        continue;
      }
      counts.failed++;
      print(`FAILED   ${where}: ${name}\n${indent(describe(error))}`);
    }
  }
  return counts;
}

function withTimeout(promise, milliseconds) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result after ${milliseconds / 1000} s`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function describe(error) {
  const code = error?.code ? `[${error.code}] ` : "";
  // Firefox's stacks do not begin with the message.
  return `${code}${String(error)}\n${error?.stack ?? ""}`;
}

function indent(text) {
  return text.replace(/^/gm, "    ");
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function equal(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: expected ${e}, found ${a}`);
}

/** Awaits something that must fail with a LacewingError of this code; gives the error. */
export async function fails(code, run, LacewingError) {
  let value;
  try {
    value = await (typeof run === "function" ? run() : run);
  } catch (error) {
    if (error?.code !== code || !(error instanceof LacewingError)) {
      throw new Error(`expected a LacewingError "${code}", found ${error?.name} ${describe(error)}`);
    }
    if (!(error.message.length > 15)) throw new Error(`"${error.message}" does not explain "${code}"`);
    return error;
  }
  throw new Error(`expected "${code}", found success (${JSON.stringify(value)?.slice(0, 100)})`);
}
