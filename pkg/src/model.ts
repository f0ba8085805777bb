import type { Engine, EngineOptions, LoadEngine } from "./engine.js";
import { checkKeys, LacewingError, throwIfAborted, toLacewingError } from "./errors.js";
import { PromptQueue } from "./queue.js";
import { Session } from "./session.js";
import type { LoadOptions, Logits, SessionOptions, Source, Stats } from "./types.js";

const LOAD_KEYS = ["onProgress", "signal", "contextLength", "kv", "allowSoftwareAdapter", "tier", "depth"];

/** Makes the `load` of an entry point out of its way to get an engine. */
export function makeLoad(loadEngine: LoadEngine): (source: Source, options?: LoadOptions) => Promise<Model> {
  return async (source, options = {}) => {
    checkKeys("load()", options, LOAD_KEYS);
    const { onProgress, signal, kv, ...rest } = options;
    if (kv) checkKeys("kv", kv, ["storage"]);
    const engineOptions: EngineOptions = { ...rest, ...(kv?.storage ? { kvStorage: kv.storage } : {}) };
    try {
      throwIfAborted(signal);
      return new Model(await loadEngine(source, engineOptions, onProgress, signal));
    } catch (e) {
      throw toLacewingError(e, "bad-request");
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
    checkKeys("session()", options, ["system"]);
    return new Session(this.#engine, this.#queue, options);
  }

  /** Token ids of a text; with BOS where the tokenizer adds it, unless `addSpecial` is false. */
  async tokenize(text: string, options: { addSpecial?: boolean } = {}): Promise<number[]> {
    this.#queue.check();
    return Array.from(await this.#engine.tokenize(text, options.addSpecial ?? true));
  }

  /** Text of token ids, without special tokens unless `skipSpecial` is false. */
  async detokenize(ids: ArrayLike<number>, options: { skipSpecial?: boolean } = {}): Promise<string> {
    this.#queue.check();
    return this.#engine.detokenize(toIds(ids), options.skipSpecial ?? true);
  }

  /** Number of tokens of a text, without BOS. */
  async countTokens(text: string): Promise<number> {
    this.#queue.check();
    return (await this.#engine.tokenize(text, false)).length;
  }

  /** Logits of every position of a context of its own. `chunk` tokens are computed at once (default: as many as fit). */
  async logits(ids: ArrayLike<number>, options: { chunk?: number; signal?: AbortSignal } = {}): Promise<Logits> {
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
  const out = new Uint32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (!Number.isInteger(id) || id! < 0 || id! > 0xffffffff) {
      throw new LacewingError("bad-request", `Token ids are whole numbers; found ${String(id)} at index ${i}.`);
    }
    out[i] = id!;
  }
  if (out.length === 0) throw new LacewingError("bad-request", "At least one token id is expected; found none.");
  return out;
}
