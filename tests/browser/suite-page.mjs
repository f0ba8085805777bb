// The suite in a page, with the built package. The runner reads `window.lines` and `window.counts`.
import { LacewingError, load } from "/lacewing/entry/browser.js";
import { load as loadInWorker } from "/lacewing/entry/client-browser.js";
import { HttpFiles } from "/lacewing/http.js";
import { runTests } from "/platform/harness.mjs";
import { suite } from "/platform/suite.mjs";
import { compileAll } from "/platform/shaders.mjs";

const query = new URLSearchParams(location.search);
const where = query.get("where");
window.lines = [];
const print = (line) => window.lines.push(line);
console.log = print;
const given = (name) => query.get(name) || undefined;
const context = { where, HttpFiles, base: query.get("base"), skipBig: given("skipBig"), real: given("real"), slow: where === "chromium", load, loadInWorker, LacewingError };
const compileHere = async () => compileAll(await (await fetch("/wgsl.json")).json(), navigator.gpu, query.get("wgsl"), "chosen", print);
const tests = [["every shader variant compiles", compileHere], ...suite(context)];
runTests(where, tests, print).then(
  (counts) => (window.counts = counts),
  (error) => (window.counts = { passed: 0, failed: 1, skipped: 0, error: String(error) }),
);
