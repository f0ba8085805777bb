// How the server of `server.mjs` answers, by the first part of a path, which may end in a number: `cap-1000`. A mode
// changes the plan of one answer: `range`, `headers`, `cut` (bytes after which the connection breaks), or all of it.
import { gzipSync } from "node:zlib";

const PAGE = '<!doctype html>\n<html><body><div id="app">{{ title }}</div></body></html>\n';
const DENIED = '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>';

/** The file as it lies compressed in an object store: lengths and ranges are those of the compressed bytes. */
function compressed(plan) {
  if (!plan.file) return;
  plan.file = plan.inMemory(gzipSync(plan.whole()));
  plan.headers["Content-Encoding"] = "gzip";
}

const ignoreRanges = (plan) => void (plan.range = undefined);
const untold = (plan) => void (plan.contentRange = () => undefined);
const noHead = (plan) => plan.request.method === "HEAD" && plan.say(405);

function redirect(plan, to) {
  if (plan.moved) return;
  const query = plan.url.search === "" ? "?" : `${plan.url.search}&`;
  plan.say(302, "", { Location: `${to}/cdn${plan.url.pathname}${query}sig=${plan.total}` });
}

/** The other name of this host, which is another origin. */
function elsewhere({ request }) {
  const [host, port] = request.headers.host.split(":");
  return `http://${host === "localhost" ? "127.0.0.1" : "localhost"}:${port}`;
}

const signatures = new Set();

export const MODES = {
  // As it should be.
  plain: () => undefined,
  range: () => undefined,
  cached: () => undefined,
  // Files that are not there.
  spa: (plan) => plan.file || plan.say(200, PAGE, { "Content-Type": "text/html" }),
  s3: (plan) => plan.file || plan.say(403, DENIED, { "Content-Type": "application/xml" }),
  xml200: (plan) => plan.file || plan.say(200, DENIED, { "Content-Type": "application/xml" }),
  // Pages of other origins may read the files, but not that one is missing; or nothing at all.
  nocors: (plan) => void (plan.strange = !plan.file),
  nocorsever: (plan) => void (plan.strange = true),
  login: (plan) => plan.file || plan.say(302, "", { Location: `/page/login?${plan.url.searchParams}` }),
  missing: (plan) => plan.file || plan.say(plan.n, String(plan.n)),
  status: (plan) => plan.say(plan.n, String(plan.n)),
  page: (plan) => plan.say(200, PAGE, { "Content-Type": "text/html" }),
  // Connections that break.
  cut: (plan) => plan.count % 2 === 0 && (plan.cut = Math.floor((Math.min(plan.range?.[1] ?? Infinity, plan.file?.size) - (plan.range?.[0] ?? 0)) / 2)),
  cutat: (plan) => void (plan.cut = plan.n),
  broken: (plan) => (ignoreRanges(plan), plan.count === 1 && (plan.cut = Math.floor(plan.file?.size / 2))),
  dead: (plan) => plan.count > 1 && (plan.cut = plan.count === 2 ? 1000 : 0),
  outage: (plan) => void (plan.destroyed = plan.total > 1 && plan.age < plan.n),
  late: (plan) => void (plan.destroyed = plan.age < plan.n),
  // Nothing more comes, and nobody says so.
  silent: (plan) => plan.count === 1 && ((plan.cut = 300_000), (plan.silent = true)),
  slow: (plan) => void (plan.slow = true),
  // Servers that are busy.
  busy: (plan) => plan.count <= plan.n && plan.say(503, "busy"),
  limited: (plan) => plan.count === 1 && plan.say(429, "", { "Retry-After": "0" }),
  asks: (plan) => plan.count === 1 && plan.say(429, "", { "Retry-After": "1" }),
  dated: (plan) => plan.count === 1 && plan.say(503, "", { "Retry-After": new Date().toUTCString() }),
  timeout: (plan) => plan.count % 2 === 1 && plan.say(408),
  error: (plan) => plan.count > 1 && plan.say(503, "503"),
  // Ranges.
  cap: (plan) => plan.range && (plan.range[1] = Math.min(plan.range[1], plan.range[0] + plan.n)),
  norange: ignoreRanges,
  later200: (plan) => plan.count > 1 && ignoreRanges(plan),
  r416: (plan) => plan.range && plan.file && plan.range[1] > plan.file.size && plan.say(416, "", { "Content-Range": `bytes */${plan.file.size}` }),
  bare416: (plan) => plan.range && plan.file && plan.range[1] > plan.file.size && plan.say(416),
  shrunk: (plan) => plan.count > 1 && plan.say(416, "", { "Content-Range": `bytes */${plan.file?.size}` }),
  aligned: (plan) => plan.range && (plan.range[0] -= plan.range[0] % 65536),
  longer: (plan) => plan.range && (plan.range[1] += 5000),
  shifted: (plan) => plan.range && plan.range[0] > 0 && (plan.range[0] += 10),
  multipart: (plan) => plan.range && (plan.headers["Content-Type"] = "multipart/byteranges; boundary=x"),
  // Lengths that are not told.
  nocr: untold,
  nocrnohead: (plan) => (untold(plan), noHead(plan)),
  star: (plan) => void (plan.contentRange = (start, stop) => `bytes ${start}-${stop - 1}/*`),
  starnohead: (plan) => (MODES.star(plan), noHead(plan)),
  oddcr: (plan) => void (plan.contentRange = (start, stop, size) => `Bytes  ${start} - ${stop - 1} / ${size}`),
  brokencr: (plan) => void (plan.contentRange = () => "bytes of the file"),
  chunked: (plan) => (ignoreRanges(plan), void (plan.sized = false)),
  // The end of the connection is the end of the file.
  unsized: (plan) => (MODES.chunked(plan), (plan.headers.Connection = "close"), void (plan.headers["Transfer-Encoding"] = "identity")),
  // Compressed objects.
  gzip: compressed,
  gzipnohead: (plan) => (compressed(plan), noHead(plan)),
  gzip200: (plan) => (ignoreRanges(plan), compressed(plan)),
  gzipchunked: (plan) => (MODES.chunked(plan), compressed(plan)),
  latergzip: (plan) => plan.count > 1 && compressed(plan),
  awschunked: (plan) => void (plan.headers["Content-Encoding"] = "aws-chunked"),
  // Versions.
  etag: (plan) => void (plan.headers.ETag = `"v${plan.count}"`),
  changed: (plan) => plan.count > 1 && (plan.headers.ETag = '"second"'),
  weak: (plan) => plan.count > 1 && (plan.headers.ETag = 'W/"first"'),
  weaks: (plan) => void (plan.headers.ETag = `W/"${plan.count}"`),
  noetag: (plan) => plan.count > 1 && delete plan.headers.ETag,
  grows: (plan) => plan.count > 1 && (plan.contentRange = (start, stop, size) => `bytes ${start}-${stop - 1}/${size + 1}`),
  changed200: (plan) => (ignoreRanges(plan), plan.cut = plan.count === 1 ? 2e6 : Infinity, MODES.changed(plan)),
  // Permissions and redirects.
  token: (plan) => plan.url.searchParams.get("token") === "x/y" || plan.say(403, DENIED),
  gated: (plan) => plan.request.headers.authorization === "Bearer secret" || plan.say(401, "401"),
  user: (plan) => plan.request.headers.authorization === `Basic ${btoa("me:p@ss")}` || plan.say(401, "401"),
  redirect: (plan) => redirect(plan, ""),
  elsewhere: (plan) => (redirect(plan, elsewhere(plan)), plan.moved && plan.request.headers.authorization && plan.say(400, "two logins")),
  // Every signature is good for one request.
  expires(plan) {
    redirect(plan, "");
    if (!plan.moved) return;
    const signature = plan.request.url;
    if (signatures.has(signature)) plan.say(403, DENIED);
    signatures.add(signature);
  },
};
