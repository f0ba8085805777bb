import type { Access } from "./access.js";
import type { FinishReason, Message, Progress, Source, Stats } from "./types.js";

/** What crosses to wasm (and to a worker) when a model is loaded. */
export interface EngineOptions {
  contextLength?: number;
  kvStorage?: "f16" | "f32";
  allowSoftwareAdapter?: boolean;
  tier?: "base" | "f16" | "subgroups" | "all";
  depth?: number;
}

/** Sampling as `session::GenerateOptions` reads it. */
export interface SamplingOptions {
  maxTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  stop?: string[];
  seed?: number;
  ignoreEos?: boolean;
}

/** A piece of a reply: whole characters, and the tokens behind them. */
export interface Piece {
  text: string;
  ids: number[];
}

/** `session::Usage`. */
export interface EngineUsage {
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  finishReason: FinishReason;
  timeToFirstTokenS: number;
  prefillTokensPerS: number;
  decodeTokensPerS: number;
}

/** Facts that never change after the load. */
export interface EngineInfo {
  hasChatTemplate: boolean;
}

/**
 * One loaded model: in this thread (`local.ts`) or in a worker (`client.ts`). `Model` and `Session` are built on it
 * and know no difference. Errors are LacewingErrors.
 */
export interface Engine {
  readonly info: EngineInfo;
  tokenize(text: string, addSpecial: boolean): Promise<Uint32Array>;
  tokenizeChat(messages: Message[]): Promise<Uint32Array>;
  detokenize(ids: Uint32Array, skipSpecial: boolean): Promise<string>;
  /** A session with a state of its own, empty. */
  createSession(): Promise<number>;
  /** A session that begins where another is now. */
  forkSession(session: number): Promise<number>;
  /** Gives a session and its memory up. */
  closeSession(session: number): Promise<void>;
  /** Starts a reply in a session; one that was under way, in any session, is dropped. */
  begin(session: number, ids: Uint32Array, options: SamplingOptions): Promise<void>;
  /** The next piece; null at the end of the reply. */
  next(): Promise<Piece | null>;
  /** Of the last whole reply. */
  usage(): Promise<EngineUsage | null>;
  /** Makes a running `begin`, `next` or `logits` fail with `aborted`. */
  cancel(): void;
  logits(ids: Uint32Array, chunk: number | undefined): Promise<Float32Array>;
  stats(): Promise<Stats>;
  free(): Promise<void>;
}

/** Loads a model into some engine. `onProgress` never throws. */
export type LoadEngine = (
  source: Source,
  options: EngineOptions,
  access: Access,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
) => Promise<Engine>;
