// Options, aborts and errors of the package: the same in this thread and in a worker. See suite.mjs for `context`.
import { assert, equal, fails, Skip } from "./harness.mjs";

/** A signal that counts the listeners on it. */
function countingSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = new Set();
  const counts = { added: 0, left: () => listeners.size };
  signal.addEventListener = (type, listener, options) => {
    if (type === "abort") counts.added++, listeners.add(listener);
    EventTarget.prototype.addEventListener.call(signal, type, listener, options);
  };
  signal.removeEventListener = (type, listener, options) => {
    listeners.delete(listener);
    EventTarget.prototype.removeEventListener.call(signal, type, listener, options);
  };
  return { controller, signal, counts };
}

/** The file with one string replaced by another of the same length. */
function replaced(bytes, from, to) {
  const out = bytes.slice();
  const wanted = new TextEncoder().encode(from);
  const at = out.findIndex((_, i) => wanted.every((byte, j) => out[i + j] === byte));
  assert(at >= 0 && from.length === to.length, `"${from}" is not in the file`);
  out.set(new TextEncoder().encode(to), at);
  return out;
}

export function optionTests(context, { options, fetchBytes, MODEL, GREEDY, reference }) {
  const { load, loadInWorker, LacewingError, base } = context;
  // Where a load takes ten seconds, only the longer way: this thread is the same JavaScript everywhere.
  const loads = [["this thread", load], ["a worker", loadInWorker]].slice(context.slow ? 1 : 0);
  const reply = async (model) => (await model.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text;
  let bytes;
  const file = async () => (bytes ??= await fetchBytes(MODEL));
  let serial = 0;
  const url = (mode, path = MODEL) => `${base}${mode}/${path}?options${++serial}`;
  const bearer = { Authorization: "Bearer secret" };

  return [
    ["options that are undefined are as if absent", async () => {
      const none = (...keys) => Object.fromEntries(keys.map((key) => [key, undefined]));
      for (const [where, loadHere] of loads) {
        const all = none("onProgress", "signal", "contextLength", "kv", "tier", "depth", "headers", "fetch", "no such option");
        const model = await loadHere(await file(), { ...all, ...options, kv: none("storage") });
        const session = model.session(none("system"));
        const sampling = none("maxTokens", "temperature", "topK", "topP", "minP", "repetitionPenalty", "stop", "seed", "ignoreEos", "signal");
        const { text } = await session.prompt("Once upon a time", { ...sampling, ...GREEDY, maxTokens: 12 });
        equal(text, await reference(), `reply in ${where}`);
        equal(await model.tokenize("x", none("addSpecial")), await model.tokenize("x"), "tokens");
        equal(await model.detokenize([5, 6], none("skipSpecial")), await model.detokenize([5, 6]), "text");
        equal((await model.logits([1, 2], none("chunk", "signal"))).nTokens, 2, "positions");
        await model.dispose();
      }
    }],
    ["options out of range are refused by name", async () => {
      for (const [where, loadHere] of loads) {
        for (const depth of [0, 17, -1, 1.5, NaN, "3"]) {
          const error = await fails("bad-request", loadHere(await file(), { ...options, depth }), LacewingError);
          equal(error.details.option, "depth", `option of depth ${depth} in ${where}`);
          assert(error.message.includes("depth") && error.details.min >= 0 && error.details.max >= 16, error.message);
        }
        const { details } = await fails("bad-request", loadHere(await file(), { ...options, contextLength: 1e6 }), LacewingError);
        equal([details.option, details.min, typeof details.max], ["contextLength", 1, "number"], "details");
        const model = await loadHere(await file(), { ...options, depth: 16 });
        equal(await reply(model), await reference(), "reply with the greatest depth");
        for (const [option, value] of [["topP", 2], ["temperature", -1], ["maxTokens", 1.5], ["topK", "5"], ["seed", -1]]) {
          equal((await fails("bad-request", model.session().prompt("x", { [option]: value }), LacewingError)).details.option, option, "option");
        }
        for (const chunk of [0, 1.5, -1, NaN]) {
          equal((await fails("bad-request", model.logits([1], { chunk }), LacewingError)).details.option, "chunk", "option");
        }
        equal((await fails("bad-request", model.logits([1], { chunks: 1 }), LacewingError)).details.key, "chunks", "key");
        await model.dispose();
      }
    }],
    ["every option of another kind is refused by name, with its value and what it must be", async () => {
      const values = [NaN, Infinity, -1, 1.5, 2 ** 60, "5", null, true, {}, [], 3n, Symbol("x"), () => 1];
      for (const [where, loadHere] of loads) {
        const model = await loadHere(await file(), options);
        const refused = async (option, kept, call) => {
          for (const value of values) {
            if (kept.includes(typeof value) || (kept.includes("list") && Array.isArray(value))) continue;
            const { message, details } = await fails("bad-request", async () => call(value), LacewingError);
            equal(details.option, option, `option of ${String(value?.length ?? value)} in ${where}`);
            assert(message.startsWith(`${option} is `) && message.includes(" must be "), message);
          }
        };
        const prompt = (option, ...kept) => refused(option, kept, (value) => model.session().prompt("x", { maxTokens: 1, [option]: value }));
        for (const option of ["maxTokens", "topK", "seed", "temperature", "topP", "minP", "repetitionPenalty"]) {
          // 1.5 and true are in the range of some of them: those that are numbers.
          await prompt(option, ...(["temperature", "repetitionPenalty"].includes(option) ? ["number"] : []));
        }
        await prompt("stop", "string", "list");
        await prompt("ignoreEos", "boolean");
        await prompt("signal");
        for (const [option, value] of [["temperature", NaN], ["temperature", Infinity], ["temperature", -1], ["repetitionPenalty", NaN], ["repetitionPenalty", 2 ** 60]]) {
          const { message, details } = await fails("bad-request", model.session().prompt("x", { [option]: value }), LacewingError);
          equal([details.option, message.startsWith(`${option} is `)], [option, true], message);
        }
        equal((await fails("bad-request", model.session().prompt("x", { stop: ["a", 5] }), LacewingError)).details.option, "stop", "option");
        for (const seed of [Date.now(), 2 ** 53, 2 ** 53 - 1, 2 ** 32]) await model.session().prompt("x", { maxTokens: 1, temperature: 1, seed });
        const loading = (option, ...kept) => refused(option, kept, (value) => loadHere(bytes, { ...options, [option]: value }));
        for (const option of ["contextLength", "depth", "tier", "signal"]) await loading(option);
        for (const option of ["onProgress", "fetch"]) await loading(option, "function");
        for (const option of ["kv", "headers"]) await refused(option, ["object"], (value) => loadHere(bytes, { ...options, [option]: value }));
        for (const option of ["kv", "headers"]) await fails("bad-request", loadHere(bytes, { ...options, [option]: null }), LacewingError);
        await loading("allowSoftwareAdapter", "boolean");
        await refused("kv.storage", [], (value) => loadHere(bytes, { ...options, kv: { storage: value } }));
        await refused("addSpecial", ["boolean"], (value) => model.tokenize("x", { addSpecial: value }));
        await refused("skipSpecial", ["boolean"], (value) => model.detokenize([5], { skipSpecial: value }));
        await refused("chunk", [], (value) => model.logits([1], { chunk: value }));
        await refused("system", ["string"], (value) => model.session({ system: value }));
        const text = "The input of tokenize()";
        await refused(text, ["string"], (value) => model.tokenize(value));
        await refused(text, ["string"], (value) => model.countTokens(value));
        for (const ids of values) {
          await fails("bad-request", async () => model.logits(ids), LacewingError);
          await fails("bad-request", async () => model.detokenize(ids), LacewingError);
        }
        for (const none of [null, 5, "x", []]) {
          for (const call of [() => loadHere(bytes, none), () => model.session(none), () => model.session().prompt("x", none), () => model.tokenize("x", none), () => model.logits([1], none)]) {
            const { message } = await fails("bad-request", async () => call(), LacewingError);
            assert(message.includes("are an object"), message);
          }
        }
        for (const [call, key] of [[() => loadHere(bytes, { toString: 1 }), "toString"], [() => model.session({ systemPrompt: "x" }), "systemPrompt"], [() => model.session().prompt("x", { max_tokens: 5 }), "max_tokens"], [() => model.tokenize("x", { add_special: true }), "add_special"]]) {
          const error = await fails("bad-request", async () => call(), LacewingError);
          equal(error.details.key, key, "key");
          assert(error.message.includes("it knows"), error.message);
        }
        equal(await reply(model), await reference(), `reply afterwards in ${where}`);
        await model.dispose();
      }
    }],
    ["no call leaves a listener on the caller's signal", async () => {
      for (const [where, loadHere] of loads) {
        const { controller, signal, counts } = countingSignal();
        const clean = (what) => equal([counts.added > 0, counts.left()], [true, 0], `listeners added and left after ${what} in ${where}`);
        const model = await loadHere(await file(), { ...options, signal });
        clean("a load");
        await fails("bad-file", loadHere(new Uint8Array(100), { ...options, signal }), LacewingError);
        clean("a load that failed");
        const session = model.session();
        for (let i = 0; i < 3; i++) await session.prompt("x", { ...GREEDY, maxTokens: 2, signal });
        await fails("bad-request", session.prompt("x", { temperature: -1, signal }), LacewingError);
        const left = session.prompt("Once upon a time", { ...GREEDY, maxTokens: 400, signal });
        for await (const _ of left) break;
        await fails("aborted", left, LacewingError);
        clean("prompts");
        await model.logits([1, 2], { signal });
        clean("logits");
        const running = session.prompt("Once upon a time", { ...GREEDY, maxTokens: 300 });
        const waiting = session.prompt("x", { signal });
        controller.abort();
        await fails("aborted", waiting, LacewingError);
        clean("an abort while waiting");
        running.abort();
        await fails("aborted", running, LacewingError);
        await model.dispose();
      }
    }],
    ["an abort is an AbortError with the signal's reason as its cause", async () => {
      const check = async (call, reason) => {
        const error = await fails("aborted", call, LacewingError);
        equal([error.name, error instanceof Error], ["AbortError", true], "name");
        assert(error.cause === reason, `the cause is ${String(error.cause)}, not ${String(reason)}`);
      };
      equal((await fails("bad-request", load(42), LacewingError)).name, "LacewingError", "name of another error");
      for (const [, loadHere] of loads) {
        const reason = new TypeError("enough");
        await check(loadHere(await file(), { ...options, signal: AbortSignal.abort(reason) }), reason);
        const slow = new AbortController();
        setTimeout(() => slow.abort(reason), 200);
        await check(loadHere(url("slow"), { ...options, signal: slow.signal }), reason);
        const timeout = AbortSignal.timeout(200);
        const late = loadHere(url("slow"), { ...options, signal: timeout });
        await fails("aborted", late, LacewingError);
        await check(late, timeout.reason);
        const model = await loadHere(await file(), options);
        await check(model.session().prompt("x", { signal: AbortSignal.abort(7) }), 7);
        const running = new AbortController();
        const prompt = model.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 400, signal: running.signal });
        setTimeout(() => running.abort(reason), 20);
        await check(prompt, reason);
        const left = model.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 400 });
        for await (const _ of left) {
          left.abort(reason);
          break;
        }
        await check(left, reason);
        await model.dispose();
      }
    }],
    ["what onProgress throws is what the load fails with", async () => {
      for (const [where, loadHere] of loads) {
        for (const phase of ["open", "weights", "ready"]) {
          for (const thrown of [new LacewingError("quota-exceeded", "The page has had enough of it."), new RangeError("a bug in the page")]) {
            let after = 0;
            let error;
            const onProgress = (progress) => {
              if (error) after++;
              if (progress.phase === phase) throw (error = thrown);
            };
            const code = thrown.code ?? "bad-request";
            const found = await fails(code, loadHere(url("range"), { ...options, onProgress }), LacewingError);
            assert(thrown.code ? found === thrown : found.cause === thrown, `${where}, ${phase}: another error, ${found.stack}`);
            equal([found.message, after], [thrown.message, 0], `${where}, ${phase}: message, and events after it`);
          }
        }
      }
      await reference();
    }],
    ["details and causes come through wasm and workers", async () => {
      const broken = replaced(await file(), "blk.0.attn_q.weight", "blk.0.attn_z.weight");
      for (const [where, loadHere] of loads) {
        const missing = await fails("missing-tensor", loadHere(broken, options), LacewingError);
        equal(missing.details, { tensor: "blk.0.attn_q.weight" }, `details in ${where}`);
        const model = await loadHere(await file(), { ...options, contextLength: 32 });
        const overflow = await fails("context-overflow", model.logits(new Uint32Array(40).fill(5)), LacewingError);
        equal([overflow.details.promptTokens, overflow.details.contextLength], [40, 32], `details in ${where}`);
        await model.dispose();
        const lost = await fails("download-failed", loadHere(url("dead"), options), LacewingError);
        assert(String(lost.details.url).includes("dead/"), `no url in ${JSON.stringify(lost.details)}`);
        const refused = await fails("download-failed", loadHere("http://localhost:9/model.gguf", options), LacewingError);
        assert(refused.cause instanceof Error && refused.cause.message, `no cause in ${where}: ${String(refused.cause)}`);
      }
      // A source that fails inside of a call of the engine: its error goes through Rust and comes out as it was.
      let calls = 0;
      const cause = new Error("the tunnel fell down");
      const flaky = (input, init) => (calls++ === 0 ? fetch(input, init) : Promise.reject(cause));
      const error = await fails("download-failed", load(url("range"), { ...options, fetch: flaky }), LacewingError);
      assert(error.cause === cause && error.details.url, `the cause is ${String(error.cause)}`);
    }],
    ["headers reach a gated repository with every request", async () => {
      for (const [where, loadHere] of loads) {
        const refused = await fails("download-failed", loadHere(url("gated", "tiny/"), options), LacewingError);
        equal(refused.details.status, 401, `status in ${where}`);
        assert(refused.message.includes("headers"), refused.message);
        for (const headers of [bearer, Object.entries(bearer), new Headers(bearer)]) {
          await (await loadHere(url("gated", "tiny/"), { ...options, headers })).dispose();
        }
        const model = await loadHere(url("gated"), { ...options, headers: bearer });
        equal(await reply(model), await reference(), `reply in ${where}`);
        await model.dispose();
        equal((await fails("bad-request", loadHere(url("gated"), { ...options, headers: { "a b": "c" } }), LacewingError)).details.option, "headers", "option");
      }
    }],
    ["a fetch of the caller's is used for every request; weights stay out of HTTP caches", async () => {
      const calls = [];
      const own = (input, init) => {
        calls.push([new URL(input).pathname.split("/").at(-1), init.cache, init.headers.get("authorization")]);
        return fetch(input, init);
      };
      const model = await load(url("gated", "tiny/"), { ...options, headers: bearer, fetch: own });
      await model.dispose();
      for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) assert(calls.some(([each]) => each === name), `${name} came another way`);
      for (const [name, cache, sent] of calls) {
        equal([cache, sent], [name.endsWith(".safetensors") ? "no-store" : undefined, bearer.Authorization], `cache mode and header of ${name}`);
      }
      const inWorker = await fails("bad-request", loadInWorker(url("range"), { ...options, fetch: own }), LacewingError);
      equal(inWorker.details.option, "fetch", "option");
      await fails("bad-request", load(url("range"), { ...options, fetch: 5 }), LacewingError);
    }],
    ["file: URLs are paths, on Windows, too", async () => {
      const { pathOfUrl, modelPath } = context;
      if (!pathOfUrl) throw new Skip("no paths in a page");
      equal(pathOfUrl(new URL("file:///tmp/a%20b.gguf"), false), "/tmp/a b.gguf", "path");
      await fails("bad-request", async () => pathOfUrl(new URL("file:///a%2Fb.gguf"), false), LacewingError);
      // Deno's fileURLToPath always goes by the system that it runs on.
      if (!globalThis.Deno) {
        equal(pathOfUrl(new URL("file:///C:/models/a%20b.gguf"), true), "C:\\models\\a b.gguf", "path with a drive");
        equal(pathOfUrl(new URL("file://server/share/a.gguf"), true), "\\\\server\\share\\a.gguf", "path of a share");
        await fails("bad-request", async () => pathOfUrl(new URL("file:///models/a.gguf"), true), LacewingError);
      }
      const address = new URL("file:///");
      address.pathname = modelPath.replaceAll("\\", "/");
      const model = await load(address, options);
      equal(await reply(model), await reference(), "reply");
      await model.dispose();
    }],
  ];
}
