import type { Engine, EngineOptions, LoadEngine } from "./engine.js";
import { abortError, onAbort, throwIfAborted } from "./abort.js";
import { accessOf } from "./access.js";
import { LacewingError, toLacewingError } from "./errors.js";
import { check, checkOptions, whole } from "./options.js";
import { PromptQueue } from "./queue.js";
import { Session } from "./session.js";
import type { DetokenizeOptions, LoadOptions, Logits, LogitsOptions, Progress, SessionOptions, Source, Stats, TokenizeOptions } from "./types.js";

const LOAD_OPTIONS = {
  onProgress: "a function",
  signal: "an AbortSignal",
  contextLength: whole(1),
  kv: "an object",
  allowSoftwareAdapter: "a boolean",
  tier: "base or f16 or subgroups or all",
  depth: whole(1, 16),
  headers: "an object",
  fetch: "a function",
};

/** Makes the `load` of an entry point out of its way to get an engine. */
export function makeLoad(loadEngine: LoadEngine): (source: Source, options?: LoadOptions) => Promise<Model> {
  return async (source, options = {}) => {
    const { onProgress, signal, kv = {}, headers, fetch, ...rest } = checkOptions("load()", options, LOAD_OPTIONS);
    const { storage } = checkOptions("kv", kv, { storage: "f16 or f32" }, "kv.");
    const engineOptions: EngineOptions = { ...rest, ...(storage ? { kvStorage: storage } : {}) };
    const access = accessOf(headers, fetch);
    throwIfAborted(signal);
    // The engine hears of the caller's abort and of a listener that throws in the same way, in a worker or not.
    const stop = new AbortController();
    const unlisten = onAbort(signal, () => stop.abort(signal?.reason));
    let failure: LacewingError | undefined;
    const report = (progress: Progress): void => {
      if (stop.signal.aborted) return;
      try {
        onProgress?.(progress);
      } catch (e) {
        failure = toLacewingError(e, "bad-request");
        stop.abort(failure);
      }
    };
    try {
      const engine = await loadEngine(source, engineOptions, access, report, stop.signal);
      if (!stop.signal.aborted) return new Model(engine);
      await engine.free();
      throw abortError(stop.signal);
    } catch (e) {
      throw failure ?? toLacewingError(e, "bad-request");
    } finally {
      unlisten();
    }
  };
}

/** A loaded model. Its prompts run one after the other; after an error it goes on working. */
export class Model {
  readonly #engine: Engine;
  readonly #queue: PromptQueue;

  /** Not for callers: `load` makes models. */
  constructor(engine: Engine) {
    this.#engine = engine;
    this.#queue = new PromptQueue(engine);
  }

  /** Whether the model came with a chat template: without one, prompts are plain texts to be continued. */
  get hasChatTemplate(): boolean {
    return this.#engine.info.hasChatTemplate;
  }

  /** Starts a conversation. */
  session(options: SessionOptions = {}): Session {
    checkOptions("session()", options, { system: "a string" });
    return new Session(this.#engine, this.#queue, options);
  }

  /** Token ids of a text; with BOS where the tokenizer adds it, unless `addSpecial` is false. */
  async tokenize(input: string, options: TokenizeOptions = {}): Promise<number[]> {
    checkOptions("tokenize()", options, { addSpecial: "a boolean" });
    check("The input of tokenize()", input, "a string");
    this.#queue.check();
    return Array.from(await this.#engine.tokenize(input, options.addSpecial ?? true));
  }

  /** Text of token ids, without special tokens unless `skipSpecial` is false. */
  async detokenize(ids: ArrayLike<number>, options: DetokenizeOptions = {}): Promise<string> {
    checkOptions("detokenize()", options, { skipSpecial: "a boolean" });
    this.#queue.check();
    return this.#engine.detokenize(toIds(ids), options.skipSpecial ?? true);
  }

  /** Number of tokens of a text, without BOS. */
  async countTokens(input: string): Promise<number> {
    return (await this.tokenize(input, { addSpecial: false })).length;
  }

  /** Logits of every position of a context of its own. `chunk` tokens are computed at once (default: as many as fit). */
  async logits(ids: ArrayLike<number>, options: LogitsOptions = {}): Promise<Logits> {
    checkOptions("logits()", options, { chunk: whole(1), signal: "an AbortSignal" });
    const wanted = toIds(ids);
    const data = await this.#queue.run(options.signal, () => this.#engine.logits(wanted, options.chunk));
    return { data, nTokens: wanted.length, vocabSize: data.length / wanted.length };
  }

  /** Facts and counters. */
  async stats(): Promise<Stats> {
    this.#queue.check();
    return this.#engine.stats();
  }

  /** Aborts what runs, frees the GPU's memory. Whatever is asked of the model afterwards fails with `disposed`. */
  async dispose(): Promise<void> {
    await this.#queue.close();
    await this.#engine.free();
  }
}

/** `await using model = await load(...)`, where the runtime knows it. */
export interface Model extends AsyncDisposable {}
if (Symbol.asyncDispose) {
  Object.defineProperty(Model.prototype, Symbol.asyncDispose, {
    value(this: Model): Promise<void> {
      return this.dispose();
    },
  });
}

function toIds(ids: ArrayLike<number>): Uint32Array {
  const out = new Uint32Array((ids as ArrayLike<number> | null)?.length ?? 0);
  for (let i = 0; i < out.length; i++) {
    const id = ids[i];
    if (!Number.isInteger(id) || id! < 0 || id! > 0xffffffff) {
      throw new LacewingError("bad-request", `Token ids are whole numbers; found ${String(id)} at index ${i}.`);
    }
    out[i] = id!;
  }
  if (out.length === 0) throw new LacewingError("bad-request", "At least one token id is expected; found none.");
  return out;
}
