import { setSpawn } from "../client.js";
import { pageSide } from "../web-worker.js";

setSpawn(() => pageSide(new Worker(new URL("../worker-deno.js", import.meta.url), { type: "module" })));

export * from "../client.js";
