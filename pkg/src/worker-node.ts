import { parentPort } from "node:worker_threads";
import "./entry/node.js";
import { serve } from "./serve.js";

const port = parentPort!;
serve({
  post: (message) => port.postMessage(message),
  listen: (listener) => void port.on("message", listener),
  close: () => port.close(),
});
