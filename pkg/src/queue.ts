import { abortError, onAbort, throwIfAborted } from "./abort.js";
import type { Engine } from "./engine.js";
import { LacewingError } from "./errors.js";

/** Runs what needs the whole model (prompts, logits) one after the other, with aborts before and during the run. */
export class PromptQueue {
  private last: Promise<unknown> = Promise.resolve();
  private readonly disposal = new AbortController();

  constructor(private readonly engine: Engine) {}

  /** Throws when the model has been disposed of. */
  check(): void {
    if (this.disposal.signal.aborted) throw disposed();
  }

  /** Runs `work` when its turn comes. An abort rejects at once while waiting, and cancels the engine while running. */
  run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.last;
    let unlisten: (() => void)[] = [];
    const result = new Promise<T>((resolve, reject) => {
      let running = false;
      const stop = (): void => {
        if (running) this.engine.cancel();
        else reject(this.disposal.signal.aborted ? disposed() : abortError(signal));
      };
      const start = async (): Promise<T> => {
        this.check();
        throwIfAborted(signal);
        running = true;
        try {
          return await work();
        } catch (e) {
          // The engine only knows that it was cancelled; the reason is here.
          this.check();
          throwIfAborted(signal);
          throw e;
        }
      };
      this.last = before.then(start).then(resolve, reject);
      unlisten = [signal, this.disposal.signal].map((each) => onAbort(each, stop));
    });
    return result.finally(() => unlisten.forEach((end) => end()));
  }

  /** Rejects everything that waits, cancels what runs, and resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.disposal.abort();
    await this.last;
  }
}

function disposed(): LacewingError {
  return new LacewingError("disposed", "The model has been disposed of; load it again.");
}
