import type { EngineStats } from "./engine-stats.js";

/**
 * What can be loaded: the URL of a GGUF file, the base URL of a directory with config.json (a Hugging Face model page
 * works, too), a path (Node, Deno), a File or Blob, its bytes, or the Files of a directory.
 */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array | readonly DirectoryFile[];

/** A File of a directory, with its path where `webkitRelativePath` does not say it (a dropped folder). */
export type DirectoryFile = File | { path: string; file: File };

/** How a load goes on. `downloadedBytes` and `uploadedBytes` never decrease and end at `totalBytes`. */
export interface Progress {
  /**
   * `open` reads the header, `weights` moves tensors to the GPU, `ready` is the last event. `waiting` comes in between
   * while a server does not answer: after 60 seconds of that the load fails with `download-failed`.
   */
  phase: "open" | "weights" | "waiting" | "ready";
  /** Why the download waits; only with the phase `waiting`. */
  waiting?: string;
  /** Bytes of weights that arrived from the source. */
  downloadedBytes: number;
  /** Bytes of weights that are on the GPU. */
  uploadedBytes: number;
  /** Bytes of all weights; 0 during `open`. */
  totalBytes: number;
}

/** Options of `load`. Any of them may be `undefined`, which is as if it were absent; so everywhere. */
export interface LoadOptions {
  /** Hears how the load goes on; what it throws ends the load. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Aborts the load: it rejects with `aborted`. */
  signal?: AbortSignal | undefined;
  /** Longest context in tokens; default: the model's own, at most 4096. */
  contextLength?: number | undefined;
  /** The KV cache: element type `f16` (default) or `f32` (for checks). */
  kv?: { storage?: "f16" | "f32" | undefined } | undefined;
  /** Accept an adapter that computes on the CPU (SwiftShader, llvmpipe); about 100 times slower. For tests. */
  allowSoftwareAdapter?: boolean | undefined;
  /** Use only this tier of kernels, for checks; default: the best one that the adapter has. */
  tier?: "base" | "f16" | "subgroups" | "all" | undefined;
  /** Tokens in flight in decode, 1 to 16; default 3. */
  depth?: number | undefined;
  /** Sent with every request for files from http(s), e.g. `{ Authorization: "Bearer ..." }` for a gated repository. */
  headers?: HeadersInit | undefined;
  /** Asks for files from http(s) in place of the global `fetch`. Not with `lacewing/worker`: use `headers` there. */
  fetch?: typeof fetch | undefined;
}

/** Options of `model.tokenize`. */
export interface TokenizeOptions {
  /** Add BOS where the tokenizer does; default true. */
  addSpecial?: boolean | undefined;
}

/** Options of `model.detokenize`. */
export interface DetokenizeOptions {
  /** Leave out special tokens; default true. */
  skipSpecial?: boolean | undefined;
}

/** Options of `model.logits`. */
export interface LogitsOptions {
  /** Tokens computed at once; default: as many as fit. */
  chunk?: number | undefined;
  /** Aborts the call: it rejects with `aborted`. */
  signal?: AbortSignal | undefined;
}

/** One message of a conversation. Fields beyond these reach the chat template as they are. */
export interface Message {
  role: "system" | "user" | "assistant" | "tool" | (string & {});
  content: string;
  [field: string]: unknown;
}

/** Options of `model.session`. */
export interface SessionOptions {
  /** The system message, first in the conversation. */
  system?: string | undefined;
}

/** Options of `session.prompt`. What is left out comes from the model's generation_config, else it is off. */
export interface PromptOptions {
  /** Most tokens to generate; default: as many as the context holds. */
  maxTokens?: number | undefined;
  /** 0 is greedy. */
  temperature?: number | undefined;
  topK?: number | undefined;
  topP?: number | undefined;
  minP?: number | undefined;
  repetitionPenalty?: number | undefined;
  /** Texts that end the reply; they are not part of it. */
  stop?: string | string[] | undefined;
  /** Same seed, same prompt, same device: same reply. A whole number up to 2^53, such as `Date.now()`. Default: random. */
  seed?: number | undefined;
  /** Do not stop at end-of-text tokens (for measurements). */
  ignoreEos?: boolean | undefined;
  /** Aborts this reply: it rejects with `aborted`. */
  signal?: AbortSignal | undefined;
}

/** Why a reply ended: `stop` is an end-of-text token or stop text, `length` is maxTokens or a full context. */
export type FinishReason = "stop" | "length";

/** What a reply cost. */
export interface Usage {
  promptTokens: number;
  /** Prompt tokens that were already in the KV cache. */
  cachedTokens: number;
  completionTokens: number;
  /** Seconds from the start of the prefill to the first token. */
  timeToFirstTokenS: number;
  /** Prompt tokens that were computed, per second. */
  prefillTokensPerS: number;
  /** Generated tokens per second, after the first. */
  decodeTokensPerS: number;
}

/** A whole reply. */
export interface ReplyResult {
  text: string;
  usage: Usage;
  finishReason: FinishReason;
}

/** Logits of every position: row-major `[nTokens, vocabSize]`. */
export interface Logits {
  data: Float32Array;
  nTokens: number;
  vocabSize: number;
}

/** Facts and counters of a model. */
export interface Stats extends EngineStats {
  /** Bytes of the wasm heap. It never shrinks, so this is its peak, too. Shared by all models of a page. */
  heapBytes: number;
}
