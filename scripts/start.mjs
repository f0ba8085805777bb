// `npm start` builds the package and serves the demo. `npm start -- --prompt TEXT` builds it and replies here in the
// terminal, through Node.
import { parseArgs } from "node:util";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT, run, setup, stop } from "./common.mjs";

const USAGE = `usage: npm start [-- --port N]
       npm start -- --prompt TEXT [--model PATH_OR_URL] [--system TEXT] [--max-tokens N] [--temperature T] [--seed S]`;

function readOptions() {
  try {
    const text = { type: "string" };
    return parseArgs({ options: { prompt: text, model: text, system: text, "max-tokens": text, temperature: text, seed: text, port: text } }).values;
  } catch (error) {
    return stop(`${error.message}\n${USAGE}`);
  }
}

const options = readOptions();
if (options.model !== undefined && options.prompt === undefined) stop(`--model needs --prompt.\n${USAGE}`);
setup();
if (!run("cargo", ["xtask", "build"])) stop("The build failed; see above.");
await (options.prompt === undefined ? serveDemo() : generate());

async function serveDemo() {
  const { serve } = await import("./serve.mjs");
  const mounts = { "/": join(ROOT, "www") };
  const wanted = Number(options.port ?? process.env.PORT ?? 8080);
  // Another free port when that one is taken and nobody asked for it.
  const site = await serve(mounts, { port: wanted }).catch((error) => {
    if (options.port !== undefined || error.code !== "EADDRINUSE") stop(`The server cannot start: ${error.message}`);
    return serve(mounts);
  });
  console.log(`\nLacewing is at ${site.url} (end with Ctrl+C)`);
}

async function generate() {
  const { load } = await import(pathToFileURL(join(ROOT, "pkg/dist/entry/node.js")).href);
  const onProgress = (p) => {
    if (!process.stderr.isTTY || p.totalBytes === 0) return;
    process.stderr.write(`\r${(p.uploadedBytes / 1e6).toFixed(1)} of ${(p.totalBytes / 1e6).toFixed(1)} MB on the GPU${p.phase === "ready" ? "\n" : ""}`);
  };
  const number = (name) => (options[name] === undefined ? {} : { [name === "max-tokens" ? "maxTokens" : name]: Number(options[name]) });
  const source = options.model ?? join(ROOT, "models/lacewing-tiny");
  try {
    const model = await load(source, { onProgress }).catch((error) => {
      if (error.code !== "unsupported-webgpu") throw error;
      // As the native program does: slow is better than nothing, but say it.
      console.error(`${error.message}\nTrying with software rendering all the same.`);
      return load(source, { onProgress, allowSoftwareAdapter: true });
    });
    const session = model.session(options.system === undefined ? {} : { system: options.system });
    const reply = session.prompt(options.prompt, { ...number("max-tokens"), ...number("temperature"), ...number("seed") });
    for await (const piece of reply) process.stdout.write(piece);
    const { usage } = await reply;
    process.stdout.write("\n");
    console.error(`${usage.decodeTokensPerS.toFixed(1)} tokens/s (${usage.completionTokens} tokens, first after ${(usage.timeToFirstTokenS * 1000).toFixed(0)} ms)`);
    await model.dispose();
  } catch (error) {
    stop(error.code ? `${error.message} (${error.code})` : error.stack);
  }
}
