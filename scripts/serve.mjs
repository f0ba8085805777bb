// A static server for the demo and the tests: ranges, right MIME types, headers as a real host would set them.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** The demo's policy; www/index.html has the same one for other hosts. Workers obey only the header. */
export const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; " +
  "worker-src 'self'; connect-src 'self' https: http://localhost:* http://127.0.0.1:*; " +
  "form-action 'none'; base-uri 'none'";

/**
 * Serves `mounts`: URL prefix that ends in "/" -> directory, or URL -> file; the longest prefix wins.
 * Resolves to { url, close } once the server listens. Port 0 is any free one.
 */
export function serve(mounts, { port = 0, host = "127.0.0.1" } = {}) {
  const prefixes = Object.keys(mounts).sort((a, b) => b.length - a.length);
  const server = createServer((request, response) => {
    answer(request, response, prefixes, mounts).catch((error) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      const url = `http://${host === "127.0.0.1" ? "localhost" : host}:${server.address().port}/`;
      resolve({ url, close: () => new Promise((done) => (server.closeAllConnections(), server.close(done))) });
    });
  });
}

async function answer(request, response, prefixes, mounts) {
  if (request.method !== "GET" && request.method !== "HEAD") return end(response, 405);
  let path;
  try {
    path = decodeURIComponent(new URL(request.url, "http://host").pathname);
  } catch {
    return end(response, 400);
  }
  if (path.endsWith("/")) path += "index.html";
  const prefix = prefixes.find((p) => path.startsWith(p));
  if (!prefix || path.includes("\0")) return end(response, 404);
  const root = normalize(mounts[prefix]);
  const file = normalize(join(root, path.slice(prefix.length)));
  if (file !== root && !file.startsWith(root.endsWith(sep) ? root : root + sep)) return end(response, 404);
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) return end(response, 404);

  const headers = {
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    ETag: `"${info.size.toString(36)}-${Math.trunc(info.mtimeMs).toString(36)}"`,
  };
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
  let start = 0;
  let stop = info.size;
  if (range && (range[1] || range[2])) {
    if (range[1]) {
      start = Number(range[1]);
      if (range[2]) stop = Math.min(info.size, Number(range[2]) + 1);
    } else {
      start = Math.max(0, info.size - Number(range[2]));
    }
    if (start >= info.size || start >= stop) return end(response, 416, { "Content-Range": `bytes */${info.size}` });
    headers["Content-Range"] = `bytes ${start}-${stop - 1}/${info.size}`;
  }
  headers["Content-Length"] = stop - start;
  response.writeHead(headers["Content-Range"] ? 206 : 200, headers);
  if (request.method === "HEAD" || stop === start) return response.end();
  const stream = createReadStream(file, { start, end: stop - 1 });
  response.on("close", () => stream.destroy());
  stream.on("error", () => response.destroy());
  stream.pipe(response);
}

function end(response, status, headers = {}) {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", ...headers });
  response.end(`${status}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL("../www/", import.meta.url));
  const { url } = await serve({ "/": root }, { port: Number(process.env.PORT ?? 8080) });
  console.log(url);
}
