// A server with the habits and faults of real ones, for every suite: `habits.mjs` has the modes, which the first part of
// a path names. `node server.mjs NAME=FOLDER..` serves alone, prints its address and ends with its stdin (the Rust tests start it so).
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { bigLlama } from "./gguf.mjs";
import { MODES } from "./habits.mjs";
import { bytesOf } from "./suite-http.mjs";

const CASES = JSON.parse(readFileSync(new URL("../goldens/http/cases.json", import.meta.url), "utf8"));

/**
 * Serves the files of `directories` (name -> path) and the trees of cases.json; "/plain/big/<layers>.gguf" is made up on
 * the way. "/cases" is cases.json, "/log?case=X" the requests with that query so far.
 */
export async function startFaultServer(directories) {
  const state = { directories, answers: new Map(), logs: new Map(), times: new Map() };
  const server = createServer((request, response) => {
    answer(request, response, state).catch(() => response.destroy());
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}/`,
    close: () => new Promise((done) => (server.closeAllConnections(), server.close(done))),
  };
}

/** Resolves when the client has taken what was written, or is gone. */
function drained(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}

const made = new Map();

/** A file as its length and a way to read it. */
async function open({ directories }, path) {
  const [name, ...rest] = path.split("/");
  const big = name === "big" ? /^(\d+)\.gguf$/.exec(rest[0]) : undefined;
  if (big) {
    const { header, size } = bigLlama(Number(big[1]));
    const zeros = Buffer.alloc(1 << 20);
    return {
      size,
      *chunks(start, stop) {
        while (start < stop) {
          const chunk = start < header.length ? header.subarray(start, Math.min(stop, header.length)) : zeros.subarray(0, Math.min(stop - start, zeros.length));
          yield chunk;
          start += chunk.length;
        }
      },
    };
  }
  const content = CASES.trees[name]?.[rest.join("/")];
  if (content !== undefined) {
    if (!made.has(path)) made.set(path, Buffer.from(bytesOf(content).buffer));
    return inMemory(made.get(path));
  }
  const root = directories[name];
  const file = root && normalize(join(root, ...rest));
  const info = file?.startsWith(normalize(root)) ? await stat(file).catch(() => undefined) : undefined;
  return info?.isFile() ? { size: info.size, chunks: (start, stop) => readChunks(file, start, stop) } : undefined;
}

function inMemory(bytes) {
  return { size: bytes.length, chunks: (start, stop) => [bytes.subarray(start, stop)] };
}

/** Large files are never in memory as a whole. */
function* readChunks(file, start, stop) {
  const handle = openSync(file);
  try {
    while (start < stop) {
      const chunk = Buffer.alloc(Math.min(stop - start, 1 << 20));
      const length = readSync(handle, chunk, 0, chunk.length, start);
      if (length === 0) return;
      yield chunk.subarray(0, length);
      start += length;
    }
  } finally {
    closeSync(handle);
  }
}

/** As forgiving as servers of files are. */
function decode(path) {
  return path.replace(/(%[0-9a-f]{2})+/gi, (codes) => {
    try {
      return decodeURIComponent(codes);
    } catch {
      return codes;
    }
  });
}

async function answer(request, response, state) {
  const url = new URL(request.url, "http://host");
  response.setHeader("Access-Control-Allow-Origin", "*");
  // Not "*": it does not stand for Authorization.
  response.setHeader("Access-Control-Allow-Headers", request.headers["access-control-request-headers"] ?? "*");
  response.setHeader("Cross-Origin-Resource-Policy", "cross-origin");
  if (request.method === "OPTIONS") return void response.writeHead(204).end();
  const id = url.searchParams.get("case") ?? request.url;
  if (url.pathname === "/log") return void response.end(JSON.stringify(state.logs.get(id) ?? []));
  if (url.pathname === "/cases") return void response.end(JSON.stringify(CASES));
  const log = state.logs.get(id) ?? state.logs.set(id, []).get(id);
  log.push([request.method, request.url, request.headers.range ?? ""]);

  let [, mode, ...rest] = decode(url.pathname).split("/");
  const moved = mode === "cdn";
  if (moved) [mode, ...rest] = rest;
  const [, name, argument] = /^([a-z0-9]+?)(?:-(\d+))?$/.exec(mode) ?? [];
  // Most servers of strangers do not let a page see these.
  if (!url.searchParams.has("hidden")) response.setHeader("Access-Control-Expose-Headers", "Content-Range, Content-Encoding, ETag, Content-Length, Retry-After");
  response.setHeader("Cache-Control", name === "cached" ? "max-age=3600" : "no-store");
  const file = await open(state, rest.join("/"));
  const key = `${id} ${url.pathname}`;
  const count = (state.answers.get(key) ?? 0) + 1;
  state.answers.set(key, count);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const plan = {
    request, url, moved, file, count,
    /** Requests of this case so far, and the milliseconds since the first. */
    total: log.length,
    age: Date.now() - (state.times.get(id) ?? state.times.set(id, Date.now()).get(id)),
    n: Number(argument ?? 0),
    headers: { ETag: '"first"' },
    range: range ? [Number(range[1]), range[2] === "" ? Infinity : Number(range[2]) + 1] : undefined,
    contentRange: (start, stop, size) => `bytes ${start}-${stop - 1}/${size}`,
    sized: true,
    cut: Infinity,
    /** Answers at once. */
    say(status, body = "", headers = {}) {
      plan.said = [status, body, headers];
    },
    whole: () => Buffer.concat([...plan.file.chunks(0, plan.file.size)]),
    inMemory,
  };
  const shape = MODES[name];
  if (!shape) return void response.writeHead(400).end(`there is no mode ${mode}`);
  shape(plan);
  if (plan.strange) response.removeHeader("Access-Control-Allow-Origin");
  if (plan.destroyed) return void response.destroy();
  if (!plan.said && !plan.file) plan.say(404, "not found");
  if (plan.said) {
    const [status, body, headers] = plan.said;
    return void response.writeHead(status, { "Content-Length": Buffer.byteLength(body), ...headers }).end(request.method === "HEAD" ? undefined : body);
  }
  await send(response, plan);
}

async function send(response, plan) {
  const { file, headers } = plan;
  let [start, stop] = plan.range && plan.request.method !== "HEAD" ? plan.range : [0, Infinity];
  const ranged = plan.range && plan.request.method !== "HEAD";
  if (ranged && start >= file.size) return void response.writeHead(416, { "Content-Range": `bytes */${file.size}`, "Content-Length": 0 }).end();
  stop = Math.min(stop, file.size);
  if (plan.sized) headers["Content-Length"] = stop - start;
  headers["Content-Type"] ??= "application/octet-stream";
  const contentRange = ranged && plan.contentRange(start, stop, file.size);
  if (contentRange) headers["Content-Range"] = contentRange;
  response.writeHead(ranged ? 206 : 200, headers);
  if (plan.request.method === "HEAD") return void response.end();
  let left = Math.min(plan.cut, stop - start);
  const cut = left < stop - start;
  for (const chunk of left > 0 ? file.chunks(start, stop) : []) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (cut && left === 0) {
      // What was written leaves before the connection does.
      await new Promise((resolve) => response.write(part, resolve));
    } else if (plan.slow) {
      for (let at = 0; at < part.length && !response.destroyed; at += 1000) {
        response.write(part.subarray(at, at + 1000));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } else if (!response.write(part)) {
      await drained(response);
    }
    if (left === 0 || response.destroyed) break;
  }
  if (plan.silent) return;
  if (cut) response.destroy();
  else response.end();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await startFaultServer(Object.fromEntries(process.argv.slice(2).map((argument) => argument.split("="))));
  console.log(server.url);
  process.stdin.resume().on("end", () => process.exit());
}
