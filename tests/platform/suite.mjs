// What the package promises, checked in whatever runtime this is. `context`:
//   load, loadInWorker, LacewingError   of the package
//   base                                URL of the fault server: "goldens/" and perhaps "shared/" are its directories
//   where                               name of the runtime
//   HttpFiles                           of dist/http.js, which is no entry of the package
//   modelPath, pathOfUrl                path of a golden model and fs.ts's function, where the runtime has paths
//   cases                               folder with the files of the table of cases, where all are to be tried
//   slow                                whether compiling the shaders of a load takes long (SwiftShader)
//   real                                path or URL of a trained model, where one is to be tested
import { assert, equal, fails, Skip } from "./harness.mjs";
import { caseTests } from "./suite-cases.mjs";
import { downloadTests } from "./suite-download.mjs";
import { httpTests } from "./suite-http.mjs";
import { nameTests } from "./suite-names.mjs";
import { optionTests } from "./suite-options.mjs";
import { realTests } from "./suite-real.mjs";
import { sessionTests } from "./suite-sessions.mjs";
import { withString } from "./gguf.mjs";

const MODEL = "goldens/llama-Q4_0.gguf";
const CHAT_TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>";
const GREEDY = { temperature: 0, repetitionPenalty: 1, ignoreEos: true };

export function suite(context) {
  const { load, loadInWorker, LacewingError, base } = context;
  const options = { allowSoftwareAdapter: true };
  const fetchBytes = async (path) => {
    const response = await fetch(`${base}range/${path}`);
    if (!response.ok) return undefined;
    return new Uint8Array(await response.arrayBuffer());
  };
  let bytes;
  let shared;
  const model = async () => (shared ??= await load((bytes ??= await fetchBytes(MODEL)), options));
  const ask = async (text, more = {}) => (await (await model()).session().prompt(text, { ...GREEDY, maxTokens: 12, ...more })).text;
  let reference;
  /** The model still gives the same reply: what failed before left nothing behind. */
  const stillWorks = async () => equal(await ask("Once upon a time"), (reference ??= await ask("Once upon a time")), "reply after a failure");

  const common = { options, fetchBytes, MODEL, GREEDY, reference: async () => (await stillWorks(), reference) };

  const tests = [
    ["a software adapter is refused unless it is allowed", async () => {
      const { adapter } = await (await model()).stats();
      if (!/swiftshader|llvmpipe|lavapipe|softpipe|basic render/i.test(adapter)) throw new Skip(`"${adapter}" does not say that it is one`);
      await fails("unsupported-webgpu", load(bytes), LacewingError);
    }],
    ["logits agree with the golden ones", async () => {
      const golden = safetensors(await fetchBytes("goldens/llama-Q4_0.golden.safetensors"));
      const wanted = golden("logits", Float32Array);
      const found = await (await model()).logits(golden("input_ids", Int32Array));
      equal(found.data.length, wanted.length, "number of logits");
      const mean = wanted.reduce((a, b) => a + b) / wanted.length;
      const std = Math.sqrt(wanted.reduce((a, b) => a + (b - mean) ** 2, 0) / wanted.length);
      let worst = 0;
      for (let i = 0; i < wanted.length; i++) {
        const difference = Math.abs(found.data[i] - wanted[i]);
        if (!(difference <= worst)) worst = difference;
      }
      assert(worst <= 1e-2 * std, `largest difference ${worst}, allowed ${1e-2 * std}`);
      const again = await (await model()).logits(golden("input_ids", Int32Array), { chunk: 1 });
      equal(argmax(again), argmax(found), "most likely tokens, computed one by one");
    }],
    ["greedy text of a trained model is the golden text", async () => {
      const golden = await fetchBytes("shared/golden/stories260K.json");
      const file = golden && (await fetchBytes("shared/stories260K-F16.gguf"));
      if (!file) throw new Skip("shared/models/stories260K-F16.gguf is not here");
      const stories = await load(file, options);
      for (const { prompt, ids, greedy_text } of JSON.parse(new TextDecoder().decode(golden)).cases) {
        equal(await stories.tokenize(prompt), ids, "tokens");
        const reply = stories.session().prompt(prompt, { ...GREEDY, maxTokens: 48 });
        let streamed = "";
        for await (const piece of reply) streamed += piece;
        const { text, usage, finishReason } = await reply;
        equal(text, greedy_text.replaceAll("<0x0A>", "\n"), `text after "${prompt}"`);
        equal(streamed, text, "text from the pieces");
        equal([usage.completionTokens, usage.promptTokens, finishReason], [48, ids.length, "length"], "usage");
      }
      await stories.dispose();
    }],
    ["lacewing-tiny says what transformers says", async () => {
      const goldens = JSON.parse(new TextDecoder().decode(await fetchBytes("made/lacewing-tiny.json")));
      const tiny = await load(`${base}range/tiny/`, options);
      for (const { question, text: expected } of goldens.slice(0, 3)) {
        const { text, finishReason } = await tiny.session().prompt(question, { temperature: 0 });
        equal([text, finishReason], [expected, "stop"], `reply to "${question}"`);
      }
      await tiny.dispose();
    }],
    ["a second prompt continues the conversation from the cache", async () => {
      const session = (await model()).session();
      const first = await session.prompt("Once upon a time", { ...GREEDY, maxTokens: 6 });
      const second = await session.prompt(" and then", { ...GREEDY, maxTokens: 6 });
      assert(second.usage.promptTokens > first.usage.promptTokens + 6, `${second.usage.promptTokens} prompt tokens do not hold the first exchange`);
      assert(second.usage.cachedTokens >= first.usage.promptTokens + 5, `only ${second.usage.cachedTokens} tokens came from the cache`);
      assert(second.usage.timeToFirstTokenS >= 0 && second.usage.decodeTokensPerS > 0, "times are missing");
    }],
    ["a chat template makes a conversation of messages", async () => {
      const chat = await load(withString(await fetchBytes(MODEL), "tokenizer.chat_template", CHAT_TEMPLATE), options);
      assert(chat.hasChatTemplate, "the template was not found");
      const session = chat.session({ system: "Be kind." });
      const { text } = await session.prompt("Hello", { ...GREEDY, maxTokens: 4 });
      await session.prompt([{ role: "user", content: "More" }], { ...GREEDY, maxTokens: 4 });
      equal(session.messages.map((m) => m.role), ["system", "user", "assistant", "user", "assistant"], "roles");
      equal(session.messages[2].content, text, "the reply in the history");
      await fails("bad-request", session.prompt([{ role: "user" }]), LacewingError);
      equal(session.messages.length, 5, "messages after a failed prompt");
      await chat.dispose();
      await fails("bad-request", async () => (await model()).session({ system: "x" }), LacewingError);
    }],
    ["prompts of one model never mix", async () => {
      await stillWorks();
      const texts = ["Once upon a time", "The cat", "One day"];
      const alone = [];
      for (const text of texts) alone.push(await ask(text));
      equal(await Promise.all(texts.map((text) => ask(text))), alone, "replies asked for at once");
    }],
    ["a seed makes sampling repeatable", async () => {
      const sampled = (seed) => ask("Once upon a time", { temperature: 1.5, topK: 50, seed, maxTokens: 16 });
      equal(await sampled(7), await sampled(7), "same seed");
      assert((await sampled(7)) !== (await sampled(8)), "another seed gave the same text");
    }],
    ["stop texts end a reply", async () => {
      const whole = await ask("Once upon a time", { maxTokens: 24 });
      const stop = whole.slice(6, 9);
      const reply = await (await model()).session().prompt("Once upon a time", { ...GREEDY, maxTokens: 24, stop });
      equal([reply.text, reply.finishReason], [whole.slice(0, whole.indexOf(stop)), "stop"], "reply");
    }],
    ["tokenize, countTokens and detokenize agree", async () => {
      const m = await model();
      const ids = await m.tokenize("Once upon a time", { addSpecial: false });
      equal(await m.countTokens("Once upon a time"), ids.length, "count");
      equal((await m.detokenize(ids)).trim(), "Once upon a time", "text");
    }],
    ["abort before, while waiting, in prefill and in decode", async () => {
      const m = await model();
      await stillWorks();
      const long = "word ".repeat(150);
      await fails("aborted", m.session().prompt("x", { signal: AbortSignal.abort() }), LacewingError);
      const first = m.session().prompt(long, { ...GREEDY, maxTokens: 40 });
      const waiting = new AbortController();
      const second = m.session().prompt("x", { signal: waiting.signal });
      waiting.abort("changed my mind");
      equal((await fails("aborted", second, LacewingError)).details.reason, "changed my mind", "reason");
      first.abort();
      await fails("aborted", first, LacewingError);
      await stillWorks();
      const prefill = new AbortController();
      const third = m.session().prompt(`${long} again`, { ...GREEDY, signal: prefill.signal });
      setTimeout(() => prefill.abort(), 5);
      await fails("aborted", third, LacewingError);
      await stillWorks();
      const session = m.session();
      let pieces = 0;
      const fourth = session.prompt("Once upon a time", { ...GREEDY, maxTokens: 200 });
      for await (const _ of fourth) if (++pieces === 2) break;
      await fails("aborted", fourth, LacewingError);
      const logits = new AbortController();
      const fifth = m.logits(new Uint32Array(400).fill(5), { chunk: 1, signal: logits.signal });
      setTimeout(() => logits.abort(), 20);
      await fails("aborted", fifth, LacewingError);
      equal((await session.prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text, reference, "reply in the session of an aborted one");
    }],
    ["a prompt longer than the context is refused", async () => {
      const m = await model();
      const { contextLength } = await m.stats();
      await fails("context-overflow", m.session().prompt("word ".repeat(contextLength + 1)), LacewingError);
      await stillWorks();
    }],
    ["a reply ends at the end of the context", async () => {
      const small = await load(bytes, { ...options, contextLength: 32 });
      equal((await small.stats()).contextLength, 32, "context");
      const { finishReason, usage } = await small.session().prompt("Once upon a time", GREEDY);
      equal([finishReason, usage.promptTokens + usage.completionTokens <= 33], ["length", true], "end");
      await small.dispose();
    }],
    ["senseless options are refused and named", async () => {
      const m = await model();
      await fails("bad-request", load(bytes, { ...options, contextLenght: 5 }), LacewingError);
      await fails("bad-request", load(bytes, { ...options, contextLength: 0 }), LacewingError);
      await fails("bad-request", load(bytes, { ...options, kv: { storage: "f8" } }), LacewingError);
      await fails("bad-request", load(42, options), LacewingError);
      const wrong = await fails("bad-request", m.session().prompt("x", { topk: 5 }), LacewingError);
      assert(wrong.message.includes("topk"), wrong.message);
      for (const sampling of [{ temperature: -1 }, { temperature: NaN }, { topP: 2 }, { maxTokens: 1.5 }, { maxTokens: -1 }, { topK: "5" }]) {
        await fails("bad-request", m.session().prompt("x", sampling), LacewingError);
      }
      await fails("bad-request", m.logits([]), LacewingError);
      await fails("bad-request", m.logits([1e9]), LacewingError);
      await fails("bad-request", m.logits([0.5]), LacewingError);
      await stillWorks();
    }],
    ["bad files are refused with a reason", async () => {
      for (const end of [0, 4, 30, 2000, bytes.length - 1000]) {
        await fails("bad-file", load(bytes.slice(0, end), options), LacewingError);
      }
      const version = bytes.slice();
      version[4] = 77;
      await fails("unsupported-format", load(version, options), LacewingError);
      const counts = bytes.slice();
      counts.fill(0xff, 8, 16);
      await fails("bad-file", load(counts, options), LacewingError);
      await fails("bad-file", load(new Blob([new Uint8Array(5000).fill(7)]), options), LacewingError);
      await fails("bad-request", load([new File(["x"], "a.txt"), new File(["x"], "b.txt")], options), LacewingError);
      await stillWorks();
    }],
    ["a Blob, a File and a list of Files load, too", async () => {
      await stillWorks();
      const file = new File([bytes], "some model.gguf");
      for (const source of [file, [new File(["?"], "README.md"), { path: "folder/some model.gguf", file }], bytes.slice().buffer]) {
        const m = await load(source, options);
        equal((await m.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text, reference, "reply");
        await m.dispose();
      }
    }],
    ["a path loads, where there are paths", async () => {
      if (!context.modelPath) throw new Skip("no paths in a page");
      const m = await load(context.modelPath, options);
      equal((await m.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text, reference, "reply");
      await m.dispose();
      await fails("bad-request", load(`${context.modelPath}.not-there`, options), LacewingError);
    }],
    ["a worker gives the same replies and the same errors", async () => {
      const m = await loadInWorker(bytes, options);
      const reply = m.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 });
      let streamed = "";
      for await (const piece of reply) streamed += piece;
      equal(streamed, reference, "reply");
      await fails("context-overflow", m.session().prompt("word ".repeat(3000)), LacewingError);
      const running = m.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 400 });
      for await (const _ of running) break;
      await fails("aborted", running, LacewingError);
      const { heapBytes, vocabSize, kvTokens, arch } = await m.stats();
      assert(heapBytes > 0 && vocabSize > 0 && kvTokens > 0 && arch === "llama", `stats: ${JSON.stringify({ heapBytes, vocabSize, kvTokens, arch })}`);
      equal((await m.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 12 })).text, reference, "reply after errors");
      await m.dispose();
      await fails("disposed", m.session().prompt("x"), LacewingError);
      await fails("bad-file", loadInWorker(new Uint8Array(100), options), LacewingError);
      const stop = new AbortController();
      const slow = loadInWorker(`${base}slow/${MODEL}?worker`, { ...options, signal: stop.signal });
      setTimeout(() => stop.abort(), 200);
      await fails("aborted", slow, LacewingError);
    }],
    ...caseTests(context, common),
    ...nameTests(context, common),
    ...downloadTests(context, common),
    ...httpTests(context, common),
    ...optionTests(context, common),
    ...sessionTests(context, common),
    ...realTests(context, { options, fetchBytes }),
    ["a disposed model says so and aborts what runs", async () => {
      const m = await load(bytes, options);
      const running = m.session().prompt("Once upon a time", { ...GREEDY, maxTokens: 300 });
      const waiting = m.session().prompt("x");
      for await (const _ of running) {
        const gone = m.dispose();
        await fails("disposed", running, LacewingError);
        await fails("disposed", waiting, LacewingError);
        await gone;
        break;
      }
      await fails("disposed", m.session().prompt("x"), LacewingError);
      await fails("disposed", () => m.stats(), LacewingError);
      await fails("disposed", () => m.logits([1]), LacewingError);
      await m.dispose();
      if (Symbol.asyncDispose) assert(typeof m[Symbol.asyncDispose] === "function", "no asyncDispose");
      await stillWorks();
    }],
    ["a file of 3 GiB loads within 192 MiB of heap", async () => {
      if (context.skipBig) throw new Skip(context.skipBig);
      let downloaded = 0;
      try {
        const big = await load(`${base}range/big/8.gguf`, { ...options, contextLength: 64, onProgress: (p) => (downloaded = p.downloadedBytes) });
        await big.dispose();
      } catch (error) {
        // The GPU may be too small for it; the heap must not have grown all the same.
        if (!["out-of-memory", "limit-exceeded"].includes(error.code)) throw error;
        console.log(`         (stopped after ${downloaded} bytes: ${error.message})`);
      }
      assert(downloaded > 64 << 20 || downloaded === 0, `${downloaded} bytes downloaded`);
      const { heapBytes } = await (await model()).stats();
      console.log(`         (${(downloaded / 2 ** 20).toFixed(0)} MiB downloaded, heap ${(heapBytes / 2 ** 20).toFixed(0)} MiB)`);
      assert(heapBytes < 192 << 20, `the heap grew to ${heapBytes} bytes`);
    }],
    ["the shared model is freed", async () => (await model()).dispose()],
  ];
  return tests;
}

/** Most likely token of each position. */
function argmax({ data, nTokens, vocabSize }) {
  return Array.from({ length: nTokens }, (_, t) => {
    const row = data.subarray(t * vocabSize, (t + 1) * vocabSize);
    return row.reduce((best, x, i) => (x > row[best] ? i : best), 0);
  });
}

/** Reads tensors of a safetensors file by name. */
function safetensors(file) {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  return (name, Type) => {
    const [start, end] = header[name].data_offsets;
    return new Type(file.slice(8 + length + start, 8 + length + end).buffer);
  };
}
