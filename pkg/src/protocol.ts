import type { EngineInfo, EngineOptions, EngineUsage, Piece, SamplingOptions } from "./engine.js";
import type { PlainError } from "./errors.js";
import type { Message, Progress, Source, Stats } from "./types.js";

/** The calls that a worker answers: the methods of `Engine`, and `load`. */
export interface Calls {
  load: (source: Source, options: EngineOptions, headers: [string, string][] | undefined) => EngineInfo;
  tokenize: (text: string, addSpecial: boolean) => Uint32Array;
  tokenizeChat: (messages: Message[]) => Uint32Array;
  detokenize: (ids: Uint32Array, skipSpecial: boolean) => string;
  createSession: () => number;
  forkSession: (session: number) => number;
  closeSession: (session: number) => void;
  begin: (session: number, ids: Uint32Array, options: SamplingOptions) => void;
  next: () => Piece | null;
  usage: () => EngineUsage | null;
  logits: (ids: Uint32Array, chunk: number | undefined) => Float32Array;
  stats: () => Stats;
  free: () => void;
}

/** Name of a call. */
export type CallName = keyof Calls;

/**
 * From the page to the worker. `abort-load` and `cancel` have no answer: they make a running call fail. After `end`
 * nothing follows: a worker that cannot be terminated from outside ends by itself.
 */
export type ToWorker =
  | { [Name in CallName]: { kind: "call"; id: number; name: Name; args: Parameters<Calls[Name]> } }[CallName]
  | { kind: "abort-load" }
  | { kind: "cancel" }
  | { kind: "end" };

/** From the worker to the page. */
export type FromWorker =
  | { kind: "result"; id: number; value: unknown }
  | { kind: "error"; id: number; error: PlainError }
  | { kind: "progress"; progress: Progress };

/** One end of the line, whatever the runtime calls it. */
export interface Port<Out, In> {
  post(message: Out): void;
  /** Sets the one listener. */
  listen(listener: (message: In) => void): void;
  /** Lets this end go. */
  close?(): void;
}
