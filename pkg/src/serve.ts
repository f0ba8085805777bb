import type { Engine, EngineInfo } from "./engine.js";
import { LacewingError, toLacewingError } from "./errors.js";
import { loadLocal } from "./local.js";
import type { FromWorker, Port, ToWorker } from "./protocol.js";

/** The worker's side: one model, driven by messages. */
export function serve(port: Port<FromWorker, ToWorker>): void {
  const loading = new AbortController();
  let engine: Engine | undefined;

  function loaded(): Engine {
    if (!engine) throw new LacewingError("bad-request", "The worker has no model.");
    return engine;
  }

  async function answer(message: Extract<ToWorker, { kind: "call" }>): Promise<unknown> {
    switch (message.name) {
      case "load": {
        const [source, options, headers] = message.args;
        engine = await loadLocal(source, options, headers ? { headers } : {}, (progress) => port.post({ kind: "progress", progress }), loading.signal);
        return engine.info satisfies EngineInfo;
      }
      case "tokenize":
        return loaded().tokenize(...message.args);
      case "tokenizeChat":
        return loaded().tokenizeChat(...message.args);
      case "detokenize":
        return loaded().detokenize(...message.args);
      case "createSession":
        return loaded().createSession();
      case "forkSession":
        return loaded().forkSession(...message.args);
      case "closeSession":
        return loaded().closeSession(...message.args);
      case "begin":
        return loaded().begin(...message.args);
      case "next":
        return loaded().next();
      case "usage":
        return loaded().usage();
      case "logits":
        return loaded().logits(...message.args);
      case "stats":
        return loaded().stats();
      case "free":
        return engine?.free();
    }
  }

  port.listen((message) => {
    if (message.kind === "abort-load") return loading.abort();
    if (message.kind === "cancel") return engine?.cancel();
    if (message.kind === "end") return port.close?.();
    const { id } = message;
    answer(message).then(
      (value) => port.post({ kind: "result", id, value }),
      (e: unknown) => port.post({ kind: "error", id, error: toLacewingError(e, "bad-request").toPlain() }),
    );
  });
}
