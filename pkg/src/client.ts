import { onAbort, throwIfAborted } from "./abort.js";
import type { Engine, EngineInfo, EngineUsage, LoadEngine, Piece, SamplingOptions } from "./engine.js";
import { LacewingError, toLacewingError } from "./errors.js";
import { makeLoad } from "./model.js";
import type { CallName, Calls, FromWorker, Port, ToWorker } from "./protocol.js";
import { withPath } from "./files.js";
import type { DirectoryFile, Message, Progress, Source, Stats } from "./types.js";

/** A running worker, whatever the runtime calls it. */
export interface WorkerPort extends Port<ToWorker, FromWorker> {
  /** Sets what happens when the worker cannot start or dies. */
  onFailure(listener: (why: string) => void): void;
  /** Whether the process waits for this worker (Node). */
  hold?(wait: boolean): void;
  end(): void;
}

let spawn: (() => WorkerPort) | undefined;

/** Called once, by the entry module. */
export function setSpawn(value: () => WorkerPort): void {
  spawn = value;
}

const loadInWorker: LoadEngine = async (source, options, access, onProgress, signal) => {
  if (access.fetch) {
    throw new LacewingError("bad-request", 'A worker cannot be sent the function `fetch`: give `headers`, or use load of "lacewing" instead of "lacewing/worker".', { option: "fetch" });
  }
  if (!spawn) throw new LacewingError("bad-request", 'Import "lacewing/worker", not one of its inner modules.');
  const line = new Line(spawn(), onProgress);
  const unlisten = onAbort(signal, () => line.tell({ kind: "abort-load" }));
  try {
    const info = await line.call("load", portable(source), options, access.headers);
    return new RemoteEngine(line, info);
  } catch (e) {
    line.end("the load failed");
    throwIfAborted(signal);
    throw e;
  } finally {
    unlisten();
  }
};

/** Loads a model into a worker of its own: the page stays free, everything else is as with `lacewing`. */
export const load = makeLoad(loadInWorker);

/** The source as it means the same in the worker: URLs absolute, files with their paths. */
function portable(source: Source): Source {
  if (source instanceof URL) return source.href;
  if (Array.isArray(source)) return (source as readonly DirectoryFile[]).map(withPath);
  const relative = typeof source === "string" && !/^[a-z][a-z0-9+.-]+:/i.test(source);
  return relative && globalThis.location ? new URL(source, globalThis.location.href).href : source;
}

/** Calls to a worker and their answers. */
class Line {
  private readonly pending = new Map<number, { resolve: (value: never) => void; reject: (error: LacewingError) => void }>();
  private lastId = 0;
  private dead: LacewingError | undefined;

  constructor(private readonly port: WorkerPort, onProgress: (progress: Progress) => void) {
    port.listen((message) => {
      if (message.kind === "progress") return onProgress(message.progress);
      const call = this.pending.get(message.id);
      this.pending.delete(message.id);
      if (this.pending.size === 0) port.hold?.(false);
      if (message.kind === "result") call?.resolve(message.value as never);
      else call?.reject(toLacewingError(message.error, "bad-request"));
    });
    port.onFailure((why) => this.end(why));
  }

  call<Name extends CallName>(name: Name, ...args: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]>> {
    return new Promise((resolve, reject) => {
      if (this.dead) return reject(this.dead);
      const id = ++this.lastId;
      try {
        this.port.post({ kind: "call", id, name, args } as ToWorker);
      } catch (e) {
        // Options or messages with functions in them cannot be sent.
        return reject(new LacewingError("bad-request", `The arguments cannot be sent to a worker: ${String((e as Error).message)}`, {}, { cause: e }));
      }
      this.pending.set(id, { resolve, reject });
      this.port.hold?.(true);
    });
  }

  tell(message: ToWorker): void {
    if (!this.dead) this.port.post(message);
  }

  /** Ends the worker; open calls fail. */
  end(why: string): void {
    if (this.dead) return;
    this.dead = new LacewingError("device-lost", `The worker with the model has ended: ${why}. Load the model again.`, { why });
    for (const { reject } of this.pending.values()) reject(this.dead);
    this.pending.clear();
    this.port.end();
  }
}

class RemoteEngine implements Engine {
  constructor(private readonly line: Line, readonly info: EngineInfo) {}

  tokenize(text: string, addSpecial: boolean): Promise<Uint32Array> {
    return this.line.call("tokenize", text, addSpecial);
  }
  tokenizeChat(messages: Message[]): Promise<Uint32Array> {
    return this.line.call("tokenizeChat", messages);
  }
  detokenize(ids: Uint32Array, skipSpecial: boolean): Promise<string> {
    return this.line.call("detokenize", ids, skipSpecial);
  }
  createSession(): Promise<number> {
    return this.line.call("createSession");
  }
  forkSession(session: number): Promise<number> {
    return this.line.call("forkSession", session);
  }
  closeSession(session: number): Promise<void> {
    return this.line.call("closeSession", session);
  }
  begin(session: number, ids: Uint32Array, options: SamplingOptions): Promise<void> {
    return this.line.call("begin", session, ids, options);
  }
  next(): Promise<Piece | null> {
    return this.line.call("next");
  }
  usage(): Promise<EngineUsage | null> {
    return this.line.call("usage");
  }
  cancel(): void {
    this.line.tell({ kind: "cancel" });
  }
  logits(ids: Uint32Array, chunk: number | undefined): Promise<Float32Array> {
    return this.line.call("logits", ids, chunk);
  }
  stats(): Promise<Stats> {
    return this.line.call("stats");
  }
  async free(): Promise<void> {
    await this.line.call("free").catch(() => undefined);
    this.line.end("the model has been disposed of");
  }
}

export type { Model } from "./model.js";
export type { Reply } from "./reply.js";
export type { Session } from "./session.js";
export { ERROR_CODES, type ErrorCode, LacewingError } from "./errors.js";
export type * from "./types.js";
