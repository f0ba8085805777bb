// The cases of tests/goldens/http, which the native tests run, too; see suite.mjs for `context`.
import { assert, equal, fails, Skip } from "./harness.mjs";

/** Outages as real ones, a hundred times faster. */
// Twice and more what the table's outages last: for each of our requests Firefox makes up to ten where none is answered.
const PATIENCE = { first: 5, longest: 50, outage: 3000, silence: 5000 };
const PARALLEL = 6;

/** The bytes of a file of the trees in cases.json: its text, or as many bytes as no compression makes shorter. */
export function bytesOf(content) {
  if (typeof content === "string") return new TextEncoder().encode(content);
  const bytes = new Uint8Array(content);
  for (let i = 0; i < content; i++) {
    let hash = Math.imul(i, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    bytes[i] = hash >>> 13;
  }
  bytes.set(new TextEncoder().encode("GGUF"));
  return bytes;
}

/** As a model is read: the beginning, forward, back again, the end, everything in slices. */
async function check(source, bytes) {
  const n = bytes.length;
  equal(source.size, n, "length");
  const ranges = [[0, Math.min(n, 8)], [Math.floor(n / 3), Math.floor(n / 4)], [Math.min(n, 10), Math.min(100, n - Math.min(n, 10))], [n - Math.min(n, 1), Math.min(n, 1)], [n, 0]];
  for (let at = 0; at < n; at += 1e6) ranges.push([at, Math.min(1e6, n - at)]);
  for (const [offset, length] of ranges) {
    const found = await source.read(offset, length);
    const wanted = bytes.subarray(offset, offset + length);
    equal(found.length, wanted.length, "length of a slice");
    for (let i = 0; i < length; i++) if (found[i] !== wanted[i]) throw new Error(`byte ${offset + i} differs`);
  }
}

/** The bytes of a file by its name alone; each is made once. */
const made = new Map();
function contentOf(trees, tree, name) {
  const path = Object.keys(trees[tree]).find((path) => path === name || path.endsWith(`/${name}`));
  const key = `${tree}/${path}`;
  if (!made.has(key)) made.set(key, bytesOf(trees[tree][path]));
  return made.get(key);
}

/** What went wrong in a case. */
async function run(context, test, trees, id, hidden) {
  const { HttpFiles, LacewingError, base } = context;
  const faults = [];
  const [path, fragment] = test.url.split("#");
  const root = test.user ? base.replace("://", `://${test.user}@`) : base;
  const address = `${root}${path}${path.includes("?") ? "&" : "?"}case=${id}${hidden ? "&hidden" : ""}${fragment ? `#${fragment}` : ""}`;
  const tree = path.replace("./x/../", "").split(/[/?]/)[1];
  let waits = 0;
  const listener = { arrived: () => undefined, waiting: () => waits++ };
  const signal = new AbortController().signal;
  let files;
  const opened = HttpFiles.at(new URL(address), {}, signal, listener, PATIENCE).then((found) => (files = found));
  for (const [name, wanted] of Object.entries(test.files)) {
    let found;
    let said = "";
    let status;
    try {
      const source = await (await opened).open(name, test.need);
      if (source) await check(source, contentOf(trees, tree, name));
      found = source ? "same" : "absent";
    } catch (error) {
      found = error instanceof LacewingError ? error.code : "a fault";
      status = error.details?.status;
      said = error instanceof LacewingError ? error.message : String(error.stack ?? error);
    }
    if (found !== wanted) faults.push(`${name} is ${found}, not ${wanted} ${said}`);
    if (status !== test.status) faults.push(`the status is ${status}`);
    for (const part of test.says ?? []) if (!said.includes(part)) faults.push(`"${said}" lacks "${part}"`);
    for (const part of test.unsaid ?? []) if (said.includes(part)) faults.push(`"${said}" has "${part}"`);
  }
  if (test.main !== undefined && (files?.main() ?? null) !== test.main) faults.push(`the file is ${files?.main()}`);
  if (test.waits && waits === 0) faults.push("it did not say that it waits");
  files?.close();
  const log = await (await fetch(`${base}log?case=${id}`)).json();
  if (test.requests && log.length > test.requests + (hidden ? 8 : 0)) faults.push(`${log.length} requests: ${JSON.stringify(log)}`);
  return faults.map((fault) => `${test.url}: ${fault}`);
}

export function httpTests(context, { options, MODEL }) {
  const { HttpFiles, load, LacewingError, base } = context;
  const table = (hidden) => async () => {
    const { trees, cases } = await (await fetch(`${base}cases`)).json();
    const chosen = cases.filter((test) => !(hidden && (test.hidden === false || test.waits)) && !(globalThis.document && test.pages === false));
    const faults = [];
    let next = 0;
    const worker = async () => {
      for (let i = next++; i < chosen.length; i = next++) {
        // Answers are counted per case, and the suite runs in several browsers at one server.
        faults.push(...(await run(context, chosen[i], trees, `${context.where}${hidden ? "h" : ""}${i}`, hidden)));
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    if (faults.length > 0) throw new Error(`of ${chosen.length} cases:\n${faults.join("\n")}`);
  };
  const at = (path, signal = new AbortController().signal, listener = { arrived() {}, waiting() {} }) =>
    HttpFiles.at(new URL(`${base}${path}`), {}, signal, listener, { ...PATIENCE, outage: 60_000 });
  return [
    ["what servers do", table(false)],
    ["what servers do whose headers a page may not see", async () => {
      if (!globalThis.document) throw new Skip("only pages are kept from headers");
      await table(true)();
    }],
    ["a server that no page may read", async () => {
      if (!globalThis.document) throw new Skip("only pages are kept from servers");
      const files = await at(`nocorsever/m/m.gguf?case=${context.where}strange`);
      const error = await fails("download-failed", files.open("m.gguf"), LacewingError);
      assert(error.message.includes("Access-Control-Allow-Origin"), error.message);
      files.close();
    }],
    ["a load waits for its server, says so, and goes on", async () => {
      const events = [];
      const model = await load(`${base}late-1000/${MODEL}?case=${context.where}late`, { ...options, onProgress: (p) => events.push(p) });
      await model.dispose();
      const waiting = events.filter(({ phase }) => phase === "waiting");
      assert(waiting.length > 0 && waiting.every((p) => p.waiting.includes("trying again")), `waiting: ${JSON.stringify(waiting)}`);
      equal(events.at(-1).phase, "ready", "last phase");
      assert(events.every((p) => (p.waiting === undefined) === (p.phase !== "waiting")), "waiting without its phase");
    }],
    ["abort while a download waits", async () => {
      for (const path of ["late-100000/m/m.gguf", "late-100000/blobs/sha256:0a1b"]) {
        const stop = new AbortController();
        const heard = new Promise((resolve) => {
          const opening = at(`${path}?case=${context.where}abort${path.length}`, stop.signal, { arrived() {}, waiting: () => stop.abort() });
          resolve(opening.then((files) => files.open("m.gguf")));
        });
        await fails("aborted", heard, LacewingError);
      }
    }],
    ["a connection that is silent counts as broken", async () => {
      const files = await HttpFiles.at(new URL(`${base}silent/m/m.gguf?case=${context.where}silent`), {}, new AbortController().signal, { arrived() {}, waiting() {} }, { ...PATIENCE, silence: 200 });
      const source = await files.open("m.gguf");
      equal((await source.read(0, 3_000_000)).length, 3_000_000, "bytes");
      files.close();
    }],
  ];
}
