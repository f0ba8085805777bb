// A server with every fault that downloads meet. The first part of the path says how it behaves:
//   range/   ranges, as a good host       norange/  always the whole file
//   broken/  always the whole file, but the first answer breaks off halfway
//   cut/     ranges, but every second answer breaks off halfway       dead/  every answer but the first breaks off
//   gated/   ranges, for those who send the right token     cached/  ranges, and browsers may keep what they got
//   slow/    trickles, until the client goes away    shrunk/  416 for everything but the beginning
//   changed/ another ETag from the second answer on  error/   503 for everything but the beginning
import { closeSync, openSync, readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize } from "node:path";
import { bigLlama } from "./gguf.mjs";

/** Serves the files of `directories` (name -> path); "/range/big/<layers>.gguf" is made up on the way. */
export async function startFaultServer(directories) {
  const answers = new Map();
  const server = createServer((request, response) => {
    answer(request, response, directories, answers).catch(() => response.destroy());
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

async function open(directories, path) {
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
  const root = directories[name];
  const file = root && normalize(join(root, ...rest));
  const info = file?.startsWith(normalize(root)) ? await stat(file).catch(() => undefined) : undefined;
  return info?.isFile() ? { size: info.size, chunks: (start, stop) => readChunks(file, start, stop) } : undefined;
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

async function answer(request, response, directories, answers) {
  response.setHeader("Access-Control-Allow-Origin", "*");
  // Not "*": it does not stand for Authorization.
  response.setHeader("Access-Control-Allow-Headers", request.headers["access-control-request-headers"] ?? "*");
  response.setHeader("Access-Control-Expose-Headers", "Content-Range, ETag, Content-Length");
  response.setHeader("Cross-Origin-Resource-Policy", "cross-origin");
  if (request.method === "OPTIONS") return void response.writeHead(204).end();
  const [, mode, ...rest] = decodeURIComponent(new URL(request.url, "http://host").pathname).split("/");
  response.setHeader("Cache-Control", mode === "cached" ? "max-age=3600" : "no-store");
  if (mode === "gated" && request.headers.authorization !== "Bearer secret") return void response.writeHead(401).end("401");
  const file = await open(directories, rest.join("/"));
  if (!file) return void response.writeHead(404).end("404");
  // Counted per address, which tests make their own with a query.
  const count = (answers.get(request.url) ?? 0) + 1;
  answers.set(request.url, count);
  response.setHeader("ETag", mode === "changed" && count > 1 ? '"second"' : '"first"');

  const range = mode === "norange" || mode === "broken" ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const stop = range ? Math.min(file.size, Number(range[2]) + 1) : file.size;
  if (mode === "error" && count > 1) return void response.writeHead(503).end("503");
  if (range && (start >= file.size || (mode === "shrunk" && count > 1))) {
    return void response.writeHead(416, { "Content-Range": `bytes */${file.size}` }).end();
  }
  const headers = { "Content-Length": stop - start, "Content-Type": "application/octet-stream" };
  if (range) headers["Content-Range"] = `bytes ${start}-${stop - 1}/${file.size}`;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === "HEAD") return void response.end();

  const cut = (mode === "cut" && count % 2 === 0) || (mode === "dead" && count > 1) || (mode === "broken" && count === 1);
  let left = cut ? Math.floor((stop - start) / 2) : stop - start;
  for (const chunk of file.chunks(start, stop)) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (mode === "slow") {
      for (let at = 0; at < part.length && !response.destroyed; at += 1000) {
        response.write(part.subarray(at, at + 1000));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } else if (!response.write(part)) {
      await drained(response);
    }
    if (left === 0 || response.destroyed) break;
  }
  if (cut) response.destroy();
  else response.end();
}
