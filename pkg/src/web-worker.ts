import type { WorkerPort } from "./client.js";
import type { FromWorker, Port, ToWorker } from "./protocol.js";

/** A Worker of a browser or of Deno as the page sees it. */
export function pageSide(worker: Worker): WorkerPort {
  return {
    post: (message) => worker.postMessage(message),
    listen: (listener) => worker.addEventListener("message", (event: MessageEvent<FromWorker>) => listener(event.data)),
    onFailure: (listener) =>
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        listener(event.message || "its script could not be loaded");
      }),
    end: () => worker.terminate(),
  };
}

/** The same worker as it sees itself. */
export function workerSide(): Port<FromWorker, ToWorker> {
  return {
    post: (message) => self.postMessage(message),
    listen: (listener) => self.addEventListener("message", (event: MessageEvent<ToWorker>) => listener(event.data)),
  };
}
