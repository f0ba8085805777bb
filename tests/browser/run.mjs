// The suite, the shaders and the demo in real browsers: `run.mjs chromium firefox`. Needs test-output/wgsl.json, which
// `LACEWING_DUMP_WGSL=... cargo test --test shaders` writes.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serve } from "../../scripts/serve.mjs";
import { ROOT, startFixtures } from "../platform/fixtures.mjs";
import { runTests } from "../platform/harness.mjs";
import { demoTests, noWebGpuTests } from "./demo.mjs";
import { launch } from "./drivers.mjs";

/** Runs everything in each of `names`; the sum of the counts. */
export async function runBrowsers(names) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const add = (counts) => Object.keys(sum).forEach((key) => (sum[key] += counts[key]));
  const fixtures = await startFixtures();
  const site = await serve({
    "/": join(ROOT, "www"),
    "/lacewing/": join(ROOT, "pkg/dist"),
    "/platform/": join(ROOT, "tests/platform"),
    "/browser/": join(ROOT, "tests/browser"),
    "/wgsl.json": join(ROOT, "test-output/wgsl.json"),
  });
  try {
    for (const name of names) {
      try {
        const browser = await launch(name);
        try {
          add(await runSuite(browser, name, site.url, fixtures));
          add(await runTests(name, demoTests(browser, site.url, fixtures)));
        } finally {
          await browser.close();
        }
        const bare = await launch(name, { webgpu: false });
        try {
          add(await runTests(name, noWebGpuTests(bare, site.url)));
        } finally {
          await bare.close();
        }
      } catch (error) {
        console.log(`FAILED   ${name}: ${error.stack ?? error}`);
        sum.failed++;
      }
    }
  } finally {
    await site.close();
    await fixtures.close();
  }
  return sum;
}

/** The suite in a page; its lines are printed as they come. */
async function runSuite(browser, name, site, { base, realUrl }) {
  const query = new URLSearchParams({ where: name, base, wgsl: browser.compiler, skipBig: process.env.LACEWING_SKIP_BIG ?? "", real: name === "chromium" ? realUrl : "" });
  const page = await browser.open(`${site}browser/suite.html?${query}`);
  let printed = 0;
  for (let waited = 0; ; waited += 500) {
    const { started, lines, counts } = await page.evaluate((from) => ({ started: Boolean(window.lines), lines: (window.lines ?? []).slice(from), counts: window.counts }), printed);
    for (const line of lines) console.log(line);
    printed += lines.length;
    if (counts) {
      if (counts.error) console.log(`FAILED   ${name}: ${counts.error}`);
      await page.close();
      return counts;
    }
    if (!started && waited > 180_000) throw new Error(`the page does not start: ${page.errors.join("; ")}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const counts = await runBrowsers(process.argv.length > 2 ? process.argv.slice(2) : ["chromium", "firefox"]);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}
