// Made by `LACEWING_WRITE=1 cargo test --test typescript`; do not edit.

/** `session::Stats`: facts and counters of a model as the engine knows them. */
export interface EngineStats {
  /** Name of the adapter. */
  adapter: string;
  /** Tier of kernels in use: `base`, `f16`, `subgroups` or `all`. */
  tier: string;
  /** Architecture, as the file names it. */
  arch: string;
  /** Number of layers. */
  layers: number;
  /** Number of tokens in the vocabulary. */
  vocabSize: number;
  /** Longest context in tokens. */
  contextLength: number;
  /** Sessions that exist, with and without state on the device; one is the model's own. */
  sessions: number;
  /** Bytes of the states of all sessions. */
  sessionBytes: number;
  /** States given up to stay within the budget of sessions not in use. */
  sessionEvictions: number;
  /** Tokens that the KV cache of the session used last has room for before it grows. */
  kvCapacity: number;
  /** Tokens in the KV cache of the session used last. */
  kvTokens: number;
  /** Bytes of the KV cache per token. */
  kvBytesPerToken: number;
  /** Prompt tokens computed since the load, over all sessions. */
  prefilledTokens: number;
  /** Bytes of weights that one decoded token reads. */
  weightBytesPerToken: number;
  /** Dispatches of one decoded token. */
  dispatchesPerToken: number;
  /** Seconds that the load took. */
  loadS: number;
  /** Bytes of all live GPU buffers. */
  gpuBytes: number;
  /** Dispatches recorded since the load. */
  dispatches: number;
  /** Command buffers submitted since the load. */
  submits: number;
  /** Bytes written to the GPU since the load, without weights. */
  uploadedBytes: number;
  /** Bytes read back from the GPU. */
  readbackBytes: number;
  /** GPU objects (buffers, bind groups, pipelines) created. */
  objectsCreated: number;
}
