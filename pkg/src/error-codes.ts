// Made by `LACEWING_WRITE=1 cargo test --test typescript`; do not edit.

/** Every way in which Lacewing fails; the strings never change. */
export const ERROR_CODES = [
  /** No WebGPU adapter, or only a software one that was not asked for. */
  "unsupported-webgpu",
  /** The GPU device went away (sleep, driver update, reset). */
  "device-lost",
  /** A GPU or heap allocation failed. */
  "out-of-memory",
  /** The model needs more than a device limit allows. */
  "limit-exceeded",
  /** A byte source answered with an error, cut the connection or does not exist. */
  "download-failed",
  /** A hash did not match. */
  "integrity-mismatch",
  /** The network is unreachable and the bytes are not stored. */
  "offline",
  /** The browser's storage quota is used up. */
  "quota-exceeded",
  /** The file breaks its own format: truncated, overlapping, counts beyond the file's size. */
  "bad-file",
  /** A well-formed model of an architecture (or option) that is not supported. */
  "unsupported-model",
  /** A file format, format version or tensor type that is not supported. */
  "unsupported-format",
  /** A tensor that the architecture needs is absent, or one is present that nothing uses. */
  "missing-tensor",
  /** Prompt plus requested tokens exceed the context length. */
  "context-overflow",
  /** The caller's arguments make no sense. */
  "bad-request",
  /** A grammar, schema or template is invalid. */
  "grammar-error",
  /** The caller aborted. */
  "aborted",
  /** Use after `dispose()`. */
  "disposed",
  /** The adapter computes wrong numbers. */
  "numeric-self-test",
] as const;

/** One of {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];
