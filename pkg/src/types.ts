/**
 * What can be loaded: the URL of a GGUF file, the base URL of a directory with config.json (a Hugging Face model page
 * works, too), a path (Node, Deno), a File or Blob, its bytes, or the Files of a directory.
 */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array | readonly DirectoryFile[];

/** A File of a directory, with its path where `webkitRelativePath` does not say it (a dropped folder). */
export type DirectoryFile = File | { path: string; file: File };

/** How a load goes on. `downloadedBytes` and `uploadedBytes` never decrease and end at `totalBytes`. */
export interface Progress {
  /** `open` reads the header, `weights` moves tensors to the GPU, `ready` is the last event. */
  phase: "open" | "weights" | "ready";
  /** Bytes of weights that arrived from the source. */
  downloadedBytes: number;
  /** Bytes of weights that are on the GPU. */
  uploadedBytes: number;
  /** Bytes of all weights; 0 during `open`. */
  totalBytes: number;
}

/** Options of `load`. */
export interface LoadOptions {
  onProgress?: (progress: Progress) => void;
  /** Aborts the load: it rejects with `aborted`. */
  signal?: AbortSignal;
  /** Longest context in tokens; default: the model's own, at most 4096. */
  contextLength?: number;
  /** The KV cache: element type `f16` (default) or `f32` (for checks). */
  kv?: { storage?: "f16" | "f32" };
  /** Accept an adapter that computes on the CPU (SwiftShader, llvmpipe); about 100 times slower. For tests. */
  allowSoftwareAdapter?: boolean;
  /** Use only this tier of kernels, for checks; default: the best one that the adapter has. */
  tier?: "base" | "f16" | "subgroups" | "all";
  /** Tokens in flight in decode; default 3. */
  depth?: number;
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
  system?: string;
}

/** Options of `session.prompt`. What is left out comes from the model's generation_config, else it is off. */
export interface PromptOptions {
  /** Most tokens to generate; default: as many as the context holds. */
  maxTokens?: number;
  /** 0 is greedy. */
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  /** Texts that end the reply; they are not part of it. */
  stop?: string | string[];
  /** Same seed, same prompt, same device: same reply. Default: random. */
  seed?: number;
  /** Do not stop at end-of-text tokens (for measurements). */
  ignoreEos?: boolean;
  /** Aborts this reply: it rejects with `aborted`. */
  signal?: AbortSignal;
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
export interface Stats {
  adapter: string;
  tier: string;
  contextLength: number;
  /** Bytes of the wasm heap. It never shrinks, so this is its peak, too. Shared by all models of a page. */
  heapBytes: number;
  [counter: string]: unknown;
}
