import { abortError, throwIfAborted } from "./abort.js";
import type { Engine, EngineInfo, EngineUsage, LoadEngine, Piece, SamplingOptions } from "./engine.js";
import { LacewingError, toLacewingError } from "./errors.js";
import init, { __wbg_reset_state, Engine as WasmEngine, type InitOutput, setPanicHandler } from "./lacewing.js";
import { getPlatform } from "./platform.js";
import { ProgressMeter } from "./progress.js";
import { openSource } from "./sources.js";
import type { Message, Stats } from "./types.js";

/** One wasm instance, shared by all models of this thread, until it panics. */
interface Instance {
  memory: WebAssembly.Memory;
  /** Set when Rust code panicked: nothing in this instance can be trusted any more. */
  crash: LacewingError | undefined;
  /** Rejects at that moment: a panic inside a wasm promise leaves the promise pending for ever. */
  crashed: Promise<never>;
}

let instance: Promise<Instance> | undefined;

async function startInstance(): Promise<Instance> {
  let output: InitOutput;
  try {
    output = await init({ module_or_path: await getPlatform().wasm() });
  } catch (e) {
    instance = undefined;
    throw new LacewingError("download-failed", `lacewing_bg.wasm could not be loaded: ${String(e)}. It must be served beside the package's JavaScript.`, {}, { cause: e });
  }
  let reject: (error: LacewingError) => void = () => undefined;
  const started: Instance = { memory: output.memory, crash: undefined, crashed: new Promise((_, r) => (reject = r)) };
  started.crashed.catch(() => undefined);
  setPanicHandler((message: string) => {
    started.crash = new LacewingError("device-lost", `The engine stopped because of a bug in Lacewing; load the model again, and please report this: ${message}`, { panic: message });
    instance = undefined;
    // The trap that follows may end the process (Node) before anybody sees the rejection.
    console.error(started.crash.message);
    // Only after the panic has unwound to JavaScript may the instance be replaced.
    setTimeout(() => __wbg_reset_state(), 0);
    reject(started.crash);
  });
  return started;
}

/** Loads a model into this thread. */
export const loadLocal: LoadEngine = async (source, options, access, onProgress, signal) => {
  const meter = new ProgressMeter(onProgress);
  meter.open();
  throwIfAborted(signal);
  const files = await openSource(source, access, signal, meter).catch((e: unknown) => {
    throw signal.aborted ? abortError(signal) : toLacewingError(e, "download-failed");
  });
  try {
    const started = await (instance ??= startInstance());
    const wasm = await getPlatform().withGpu(() =>
      Promise.race([
        WasmEngine.load(files, options, (downloaded: number, uploaded: number, total: number) => {
          meter.weights(downloaded, uploaded, total);
          // Between downloads (a local file, the upload) this is where an abort is noticed.
          throwIfAborted(signal);
        }),
        started.crashed,
      ]),
    );
    if (signal.aborted) {
      wasm.free();
      throw abortError(signal);
    }
    meter.ready();
    return new LocalEngine(wasm, started);
  } catch (e) {
    throw signal.aborted ? abortError(signal) : toLacewingError(e, "bad-request");
  } finally {
    files.close();
  }
};

class LocalEngine implements Engine {
  readonly info: EngineInfo;
  private queue: Promise<unknown> = Promise.resolve();
  private freed = false;
  private cancels = 0;

  constructor(private readonly wasm: WasmEngine, private readonly instance: Instance) {
    this.info = { hasChatTemplate: wasm.hasChatTemplate() };
  }

  /** One call into the engine at a time: Rust lends the model to one of them. */
  private call<T>(run: (wasm: WasmEngine) => T | Promise<T>): Promise<T> {
    const result = this.queue.then(async () => {
      if (this.instance.crash) throw this.instance.crash;
      if (this.freed) throw new LacewingError("disposed", "The model has been disposed of.");
      try {
        return await Promise.race([run(this.wasm), this.instance.crashed]);
      } catch (e) {
        throw toLacewingError(this.instance.crash ?? e, "bad-request");
      }
    });
    this.queue = result.catch(() => undefined);
    return result;
  }

  /** The engine forgets earlier cancels when a call begins: one that comes while the call waits its turn counts here. */
  private cancellable<T>(run: (wasm: WasmEngine) => Promise<T>): Promise<T> {
    const before = this.cancels;
    return this.call((wasm) => {
      if (this.cancels !== before) throw new LacewingError("aborted", "The call was aborted; the model can be used again.");
      return run(wasm);
    });
  }

  tokenize(text: string, addSpecial: boolean): Promise<Uint32Array> {
    return this.call((wasm) => wasm.tokenize(text, addSpecial));
  }
  tokenizeChat(messages: Message[]): Promise<Uint32Array> {
    return this.call((wasm) => wasm.tokenizeChat(messages, null));
  }
  detokenize(ids: Uint32Array, skipSpecial: boolean): Promise<string> {
    return this.call((wasm) => wasm.detokenize(ids, skipSpecial));
  }
  createSession(): Promise<number> {
    return this.call((wasm) => wasm.createSession());
  }
  forkSession(session: number): Promise<number> {
    return this.call((wasm) => wasm.forkSession(session));
  }
  closeSession(session: number): Promise<void> {
    return this.call((wasm) => wasm.closeSession(session));
  }
  begin(session: number, ids: Uint32Array, options: SamplingOptions): Promise<void> {
    return this.cancellable((wasm) => wasm.begin(session, ids, options));
  }
  next(): Promise<Piece | null> {
    return this.call((wasm) => wasm.next() as Promise<Piece | null>);
  }
  usage(): Promise<EngineUsage | null> {
    return this.call((wasm) => wasm.usage() as EngineUsage | null);
  }
  cancel(): void {
    this.cancels++;
    if (!this.freed && !this.instance.crash) this.wasm.cancel();
  }
  logits(ids: Uint32Array, chunk: number | undefined): Promise<Float32Array> {
    return this.cancellable((wasm) => wasm.logits(ids, chunk));
  }
  stats(): Promise<Stats> {
    return this.call((wasm) => ({ ...(camelCase(wasm.stats() as object) as Stats), heapBytes: this.instance.memory.buffer.byteLength }));
  }
  async free(): Promise<void> {
    if (this.freed) return;
    this.cancel();
    await this.queue;
    this.freed = true;
    if (!this.instance.crash) this.wasm.free();
  }
}

/** `stats()` has the names of the command line's JSON. */
function camelCase(object: object): object {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), value as unknown]));
}
