// Downloads and their faults; see suite.mjs for `context`.
import { assert, equal, fails } from "./harness.mjs";

export function downloadTests(context, { options, MODEL, GREEDY, reference }) {
  const { load, LacewingError, base } = context;
  let serial = 0;
  /** An address of its own, because the server counts answers per address. */
  const url = (mode, path = MODEL) => `${base}${mode}/${path}?${++serial}`;
  const works = async (source) => {
    const model = await load(source, options);
    equal((await model.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text, await reference(), "reply");
    await model.dispose();
  };

  return [
    ["download with ranges; progress rises to the total", async () => {
      const events = [];
      const model = await load(url("range"), { ...options, onProgress: (p) => events.push(p) });
      equal((await model.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text, await reference(), "reply");
      await model.dispose();
      const order = ["open", "weights", "ready"];
      let last = events[0];
      for (const event of events) {
        assert(order.indexOf(event.phase) >= order.indexOf(last.phase), `${last.phase} then ${event.phase}`);
        assert(event.downloadedBytes >= last.downloadedBytes && event.uploadedBytes >= last.uploadedBytes, `progress went back: ${JSON.stringify([last, event])}`);
        assert(event.downloadedBytes <= event.totalBytes, `more than the total: ${JSON.stringify(event)}`);
        last = event;
      }
      equal([last.phase, last.downloadedBytes, last.uploadedBytes], ["ready", last.totalBytes, last.totalBytes], "last event");
      assert(last.totalBytes > 1e6, `total ${last.totalBytes}`);
    }],
    ["download without ranges", () => works(url("norange"))],
    // More than what is kept of a file without ranges: read forwards, and from the start again after a break.
    ["download of a long file without ranges", () => works(url("norange", "made/padded.gguf"))],
    ["a long file without ranges, cut once", () => works(url("broken", "made/padded.gguf"))],
    ["a file that HTTP caches may keep loads twice", async () => {
      const source = url("cached", "made/padded.gguf");
      await works(source);
      await works(source);
    }],
    ["a connection that is cut goes on where it broke", () => works(url("cut"))],
    ["404, 416, a changed file", async () => {
      equal((await fails("download-failed", load(url("range", "goldens/none.gguf"), options), LacewingError)).details.status, 404, "status");
      await fails("bad-file", load(url("range", "made/empty.gguf"), options), LacewingError);
      equal((await fails("download-failed", load(url("shrunk"), options), LacewingError)).details.status, 416, "status");
      await fails("download-failed", load(url("changed"), options), LacewingError);
      await fails("bad-request", load("ftp://localhost/model.gguf", options), LacewingError);
    }],
    ["abort during a download", async () => {
      const stop = new AbortController();
      const slow = load(url("slow"), { ...options, signal: stop.signal });
      setTimeout(() => stop.abort(), 300);
      await fails("aborted", slow, LacewingError);
      await fails("aborted", load(url("range"), { ...options, signal: AbortSignal.abort() }), LacewingError);
      const late = new AbortController();
      await fails("aborted", load(url("range"), { ...options, signal: late.signal, onProgress: (p) => p.phase === "weights" && late.abort() }), LacewingError);
    }],
  ];
}
