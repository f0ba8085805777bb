import { LacewingError, toLacewingError } from "./errors.js";
import type { ReplyResult } from "./types.js";

/**
 * A reply that is being computed. `for await` gives its text piece by piece, from the beginning however late one
 * starts; `await` gives the whole. Leaving the loop early aborts the reply.
 */
export class Reply implements AsyncIterable<string>, PromiseLike<ReplyResult> {
  readonly #pieces: string[] = [];
  readonly #result: Promise<ReplyResult>;
  readonly #abort: (reason?: unknown) => void;
  #settled = false;
  #error: LacewingError | undefined;
  #wake: (() => void)[] = [];

  /** Not for callers: `session.prompt()` makes replies. */
  constructor(start: (emit: (text: string) => void) => Promise<ReplyResult>, abort: (reason?: unknown) => void) {
    this.#abort = abort;
    const emit = (text: string): void => {
      this.#pieces.push(text);
      this.#notify();
    };
    this.#result = start(emit).then(
      (result) => {
        this.#settled = true;
        this.#notify();
        return result;
      },
      (e: unknown) => {
        this.#error = toLacewingError(e, "bad-request");
        this.#settled = true;
        this.#notify();
        throw this.#error;
      },
    );
    // Who only iterates must not get an unhandled rejection besides the error of the loop.
    this.#result.catch(() => undefined);
  }

  /** Stops the computation; the reply rejects with `aborted` (its cause is `reason`) unless it is already whole. */
  abort(reason?: unknown): void {
    this.#abort(reason);
  }

  then<A = ReplyResult, B = never>(
    onFulfilled?: ((value: ReplyResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<ReplyResult | B> {
    return this.#result.catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<ReplyResult> {
    return this.#result.finally(onFinally);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    let at = 0;
    try {
      for (;;) {
        while (at < this.#pieces.length) yield this.#pieces[at++]!;
        if (this.#error) throw this.#error;
        if (this.#settled) return;
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    } finally {
      if (!this.#settled) this.#abort("the reader stopped reading");
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
