import { LacewingError } from "./errors.js";

/** The error for a signal that has fired. */
export function abortError(signal?: AbortSignal): LacewingError {
  const reason: unknown = signal?.reason;
  const details = { reason: reason instanceof Error ? reason.message : String(reason ?? "") };
  return new LacewingError("aborted", "The caller aborted the request.", details, { cause: reason });
}

/** Throws when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/**
 * Calls `stop` when the signal fires, at once if it already has. The function that comes back ends that: one signal may
 * serve a page for hours, and every listener left on it would stay in memory with all that it refers to.
 */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop);
  return () => signal?.removeEventListener("abort", stop);
}
