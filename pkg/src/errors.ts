/** Every way in which Lacewing fails. `src/error.rs` has the same list; the strings never change. */
export const ERROR_CODES = [
  "unsupported-webgpu",
  "device-lost",
  "out-of-memory",
  "limit-exceeded",
  "download-failed",
  "integrity-mismatch",
  "offline",
  "quota-exceeded",
  "bad-file",
  "unsupported-model",
  "unsupported-format",
  "missing-tensor",
  "context-overflow",
  "bad-request",
  "grammar-error",
  "aborted",
  "disposed",
  "numeric-self-test",
] as const;

/** One of {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** What an error looks like between wasm, worker and page. */
export interface PlainError {
  code: ErrorCode;
  message: string;
  details?: Record<string, unknown>;
}

/** The one error class. `code` is stable and meant for programs, `message` is a sentence meant for people. */
export class LacewingError extends Error {
  override readonly name = "LacewingError";
  readonly code: ErrorCode;
  /** Facts behind the message: `url`, `status`, `reason` and so on. Always of plain values. */
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }

  /** The error as plain values, for `postMessage` and for wasm. */
  toPlain(): PlainError {
    return { code: this.code, message: this.message, details: this.details };
  }
}

function isCode(code: unknown): code is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(code);
}

/** Any thrown value as a LacewingError; `fallback` is the code of one that carries none. */
export function toLacewingError(thrown: unknown, fallback: ErrorCode): LacewingError {
  if (thrown instanceof LacewingError) return thrown;
  if (typeof thrown === "object" && thrown !== null) {
    const { code, message, details } = thrown as Partial<PlainError>;
    if (isCode(code)) return new LacewingError(code, String(message), details ?? {});
    if (typeof message === "string") return new LacewingError(fallback, message);
  }
  return new LacewingError(fallback, String(thrown));
}

/** The error for a signal that has fired. */
export function abortError(signal?: AbortSignal): LacewingError {
  const reason: unknown = signal?.reason;
  return new LacewingError("aborted", "The caller aborted the request.", {
    reason: reason instanceof Error ? reason.message : String(reason ?? ""),
  });
}

/** Throws when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** Throws `bad-request` for a key that no option has: a misspelt option must not be ignored silently. */
export function checkKeys(what: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new LacewingError("bad-request", `${what} has no option "${key}"; it knows ${known.join(", ")}.`, { key });
    }
  }
}
