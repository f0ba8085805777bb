import { ERROR_CODES, type ErrorCode } from "./error-codes.js";

export { ERROR_CODES, type ErrorCode };

/** What an error looks like between wasm, worker and page. */
export interface PlainError {
  code: ErrorCode;
  message: string;
  details?: Record<string, unknown>;
  cause?: unknown;
}

/**
 * The one error class. `code` is stable and meant for programs, `message` is a sentence meant for people. `cause` is
 * what made it happen, where that is known: for `aborted` the reason of the signal.
 */
export class LacewingError extends Error {
  /** `AbortError` for the code `aborted`, as everything on the web that can be aborted has it. */
  override readonly name: "LacewingError" | "AbortError";
  readonly code: ErrorCode;
  /** Facts behind the message: `url`, `status`, `option`, `tensor`, `neededBytes` and so on. Always of plain values. */
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.name = code === "aborted" ? "AbortError" : "LacewingError";
    this.code = code;
    this.details = details;
  }

  /** The error as plain values, for `postMessage`. */
  toPlain(): PlainError {
    return { code: this.code, message: this.message, details: this.details, ...("cause" in this ? { cause: plainCause(this.cause) } : {}) };
  }
}

/** A cause as values that every `postMessage` takes: classes and functions do not survive it. */
function plainCause(cause: unknown): unknown {
  if (cause instanceof LacewingError) return cause.toPlain();
  if (cause instanceof Error) return { name: cause.name, message: cause.message };
  return typeof cause === "object" || typeof cause === "function" || typeof cause === "symbol" ? String(cause) : cause;
}

/** The other end of `plainCause`; other values stay as they are. */
function fromPlainCause(cause: unknown): unknown {
  if (typeof cause !== "object" || cause === null || cause instanceof Error) return cause;
  const { code, name, message } = cause as { code?: unknown; name?: unknown; message?: unknown };
  if (isCode(code)) return toLacewingError(cause, code);
  if (typeof name !== "string" || typeof message !== "string") return cause;
  return Object.defineProperty(new Error(message), "name", { value: name, configurable: true, writable: true });
}

function isCode(code: unknown): code is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(code);
}

/** Any thrown value as a LacewingError; `fallback` is the code of one that carries none, and which becomes the cause. */
export function toLacewingError(thrown: unknown, fallback: ErrorCode): LacewingError {
  if (thrown instanceof LacewingError) return thrown;
  if (typeof thrown === "object" && thrown !== null) {
    const plain = thrown as Partial<PlainError>;
    if (isCode(plain.code)) {
      const options = "cause" in plain ? { cause: fromPlainCause(plain.cause) } : undefined;
      return new LacewingError(plain.code, String(plain.message), plain.details ?? {}, options);
    }
    if (typeof plain.message === "string") return new LacewingError(fallback, plain.message, {}, { cause: thrown });
  }
  return new LacewingError(fallback, String(thrown), {}, { cause: thrown });
}
