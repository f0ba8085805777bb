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
    // Not terminate(): Dawn ends the whole process when one of its promises is still open.
    end() {
      worker.postMessage({ kind: "end" });
      worker.unref();
    },
  };
});

export * from "../client.js";
