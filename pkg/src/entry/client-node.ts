import { Worker } from "node:worker_threads";
import { setSpawn } from "../client.js";
import type { FromWorker } from "../protocol.js";

setSpawn(() => {
  const worker = new Worker(new URL("../worker-node.js", import.meta.url));
  return {
    post: (message) => worker.postMessage(message),
    listen: (listener) => void worker.on("message", (message: FromWorker) => listener(message)),
    onFailure: (listener) => void worker.on("error", (e) => listener(e.message)),
    hold: (wait) => (wait ? worker.ref() : worker.unref()),
    end: () => void worker.terminate(),
  };
});

export * from "../client.js";
