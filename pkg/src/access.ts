import { LacewingError } from "./errors.js";

/** How the files of an HTTP source are asked for. */
export interface Access {
  /** Sent with every request, e.g. `["authorization", "Bearer ..."]`. Pairs, because a worker cannot be sent Headers. */
  headers?: [string, string][];
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
}

/** The options `headers` (checked) and `fetch` of `load`. */
export function accessOf(headers: HeadersInit | undefined, fetch: typeof globalThis.fetch | undefined): Access {
  let pairs: [string, string][] | undefined;
  try {
    pairs = headers && [...new Headers(headers)];
  } catch (e) {
    throw new LacewingError("bad-request", `\`headers\` are not HTTP headers: ${String((e as Error).message)}.`, { option: "headers" }, { cause: e });
  }
  return { ...(pairs ? { headers: pairs } : {}), ...(fetch ? { fetch } : {}) };
}
