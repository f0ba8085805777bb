import { abortError, onAbort } from "./abort.js";
import type { Access } from "./access.js";
import { LacewingError } from "./errors.js";

/** How long a download waits for a server that does not answer, or a connection that brings nothing; milliseconds. */
export interface Patience {
  /** The first pause; each one is twice as long as the one before. */
  first: number;
  /** The longest pause. */
  longest: number;
  /** How long after the first failure the download is given up, unless a byte comes. */
  outage: number;
  /** How long a connection may stay silent. */
  silence: number;
}

export const PATIENCE: Patience = { first: 20, longest: 8000, outage: 60_000, silence: 30_000 };

/** What hears of a download. */
export interface Listener {
  /** Bytes arrived. */
  arrived(count: number): void;
  /** It waits, and why. */
  waiting(reason: string): void;
}

/** What all files of a model share. */
export interface Context {
  access: Access;
  authorization: string | undefined;
  signal: AbortSignal;
  patience: Patience;
  listener: Listener;
  /** An address that answered: until then a host that is not known is a mistake, not an outage. */
  known?: URL;
}

/** Why a request brought nothing this time; it may go better the next. */
class Passing {
  constructor(readonly why: string, readonly more: { cause?: unknown; status?: number; after?: number } = {}) {}
}

/** Names of files that browsers may keep. */
const SMALL = /\.(json|jinja)$/i;

/** An answer and its body, which has to be read to its end or ended. */
export class Answer {
  readonly status: number;
  /** Length of the body, as far as the server tells it. */
  readonly length: number | undefined;
  /** Whether the body was compressed, so that lengths and ranges are not those of the file. */
  readonly isEncoded: boolean;
  /** Whether the server may keep headers to itself: pages see only what strangers allow them to see. */
  readonly isVeiled: boolean;
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(readonly response: Response, private readonly stop: AbortController, private readonly unlisten: () => void, private readonly context: Context) {
    this.status = response.status;
    const length = response.headers.get("content-length");
    this.isEncoded = /\b(gzip|deflate|br|zstd|compress)\b/.test(response.headers.get("content-encoding") ?? "");
    this.length = length === null || this.isEncoded ? undefined : Number(length);
    this.isVeiled = response.type === "cors";
  }

  /** First byte and total length of a range; what is absent, hidden or `*` is undefined. */
  get range(): { first?: number; total?: number } {
    const match = /^bytes\s+(?:(\d+)\s*-\s*\d+|\*)\s*\/\s*(\d+|\*)\s*$/i.exec(this.response.headers.get("content-range") ?? "");
    if (!match) return {};
    return { first: Number(match[1] ?? 0), ...(match[2] === "*" ? {} : { total: Number(match[2]) }) };
  }

  /** What identifies the version of a file. Weak tags may differ between answers of the same bytes: they do not count. */
  get tag(): string | undefined {
    const tag = this.response.headers.get("etag");
    return tag?.startsWith('"') ? tag : undefined;
  }

  /** The next bytes; undefined at the end. */
  async read(): Promise<Uint8Array | undefined> {
    this.reader ??= this.response.body?.getReader();
    if (!this.reader) return undefined;
    try {
      const { value } = await unlessSilent(this.reader.read(), this.stop, this.context);
      if (!value) this.unlisten();
      return value;
    } catch (e) {
      this.unlisten();
      throw new Passing(`the connection broke (${messageOf(e)})`, { cause: e });
    }
  }

  end(): void {
    this.unlisten();
    void (this.reader ? this.reader.cancel() : this.response.body?.cancel())?.catch(() => undefined);
  }
}

/** One file on a server: requests, repeated while the server or the way to it is out. */
export class Remote {
  /** Whether it answered before. */
  private answered = false;

  constructor(readonly name: string, readonly url: URL, readonly context: Context) {}

  failed(why: string, details: Record<string, unknown> = {}, cause?: unknown): LacewingError {
    const options = cause === undefined ? undefined : { cause };
    return new LacewingError("download-failed", `${this.url.href} cannot be downloaded: ${why}.`, { url: this.url.href, ...details }, options);
  }

  /** What an outage waits for: a body that ended before its time. */
  ended(): Passing {
    return new Passing("the connection ended");
  }

  changed(): LacewingError {
    return this.failed("the file changed on its server during the download; load it again");
  }

  /** An answer that is no use, and what to do about it. */
  refused({ status, response }: Answer): LacewingError {
    let hint = "check the address, or use another server";
    if (status === 401 || status === 403 || status === 407) hint = 'check the permissions: the address may have expired; if the repository is gated, pass headers: { Authorization: "Bearer ..." } to load()';
    else if (status === 404 || status === 410) hint = "check the address";
    return this.failed(`the server answered ${`${status} ${response.statusText}`.trimEnd()}; ${hint}`, { status });
  }

  /** One request: of `length` bytes at `offset`, or of everything. */
  async get(offset?: number, length?: number, method = "GET"): Promise<Answer> {
    const range = offset === undefined ? undefined : `bytes=${offset}-${offset + length! - 1}`;
    const answer = await ask(this.url, range, method, this.context).catch((e: unknown) => this.unanswered(e));
    this.answered = true;
    this.context.known ??= this.url;
    const { status, response } = answer;
    if (status >= 500 || status === 408 || status === 425 || status === 429) {
      answer.end();
      const after = response.headers.get("retry-after") ?? "";
      const pause = /^\d+$/.test(after) ? 1000 * Number(after) : Date.parse(after) - Date.now();
      throw new Passing(`the server answered ${`${status} ${response.statusText}`.trimEnd()}`, { status, after: pause || 0 });
    }
    return answer;
  }

  /** `get`, again while there is an outage. */
  async getPatiently(offset?: number, length?: number): Promise<Answer> {
    const outage = new Outage(this);
    for (;;) {
      try {
        return await this.get(offset, length);
      } catch (e) {
        await outage.wait(e);
      }
    }
  }

  /** The file's length by HEAD, where the server answers that. */
  async headLength(): Promise<number | undefined> {
    const answer = await this.get(undefined, undefined, "HEAD").catch(() => undefined);
    answer?.end();
    return answer?.status === 200 ? answer.length : undefined;
  }

  private async unanswered(thrown: unknown): Promise<never> {
    const { context } = this;
    if (context.signal.aborted) throw abortError(context.signal);
    const noNetwork = isOffline(thrown);
    if (noNetwork && !context.known) throw this.offline(thrown);
    // Pages hear of what they may not read as of a broken network. It is that, where something else can be had now.
    if (!noNetwork && !this.answered && isStranger(this.url) && !context.access.fetch && (await isThere(this.url, context))) {
      throw this.failed(`the server does not let this page read its answer; it has to send Access-Control-Allow-Origin, or the file is missing`, { unreadable: true }, thrown);
    }
    throw new Passing(`the connection failed (${messageOf(thrown)})`, { cause: thrown });
  }

  /** The error of an outage that took too long. */
  lost({ why, more: { cause, status } }: Passing, seconds: number): LacewingError {
    if (isOffline(cause)) return this.offline(cause);
    return this.failed(`${why}; nothing came for ${seconds} s; try again later`, status === undefined ? {} : { status }, cause);
  }

  private offline(cause: unknown): LacewingError {
    return new LacewingError("offline", `${this.url.href} cannot be reached: there is no network connection, or no such host.`, { url: this.url.href }, { cause });
  }
}

/** A download that gets nothing at the moment. */
export class Outage {
  /** When the first try failed. */
  private since: number | undefined;
  private pause: number;

  constructor(private readonly remote: Remote) {
    this.pause = remote.context.patience.first;
  }

  /** Bytes came. */
  over(): void {
    this.since = undefined;
    this.pause = this.remote.context.patience.first;
  }

  /** Waits before the next try; throws when that makes no sense any more. */
  async wait(trouble: unknown): Promise<void> {
    const { name, context } = this.remote;
    const { first, longest, outage } = context.patience;
    if (context.signal.aborted) throw abortError(context.signal);
    if (!(trouble instanceof Passing)) throw trouble;
    const elapsed = performance.now() - (this.since ??= performance.now());
    if (elapsed >= outage) throw this.remote.lost(trouble, Math.floor(elapsed / 1000));
    const pause = Math.max(this.pause, Math.min(trouble.more.after ?? 0, outage));
    // A break that is soon mended is not worth a word.
    if (pause > 8 * first) context.listener.waiting(`${name}: ${trouble.why}; trying again in ${(pause / 1000).toFixed(1)} s`);
    await sleep(pause, context.signal);
    this.pause = Math.min(2 * this.pause, longest);
  }
}

/** The one place that calls `fetch`. */
async function ask(url: URL, range: string | undefined, method: string, context: Context): Promise<Answer> {
  const headers = new Headers(context.access.headers);
  if (range) headers.set("Range", range);
  if (context.authorization && !headers.has("Authorization")) headers.set("Authorization", context.authorization);
  const stop = new AbortController();
  const unlisten = onAbort(context.signal, () => stop.abort(context.signal.reason));
  const init: RequestInit = { method, headers, signal: stop.signal };
  // Weights are read once and are larger than what an HTTP cache takes: Firefox breaks off bodies that its cache gives
  // up on, and pieces of a file in a cache may be of different versions.
  if (!SMALL.test(url.pathname)) init.cache = "no-store";
  try {
    return new Answer(await unlessSilent((context.access.fetch ?? fetch)(url, init), stop, context), stop, unlisten, context);
  } catch (e) {
    unlisten();
    throw e;
  }
}

/** `work`, unless it takes longer than a connection may stay silent. */
async function unlessSilent<T>(work: Promise<T>, stop: AbortController, { patience, signal }: Context): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unlisten = (): void => undefined;
  const silence = new Promise<never>((_, reject) => {
    unlisten = onAbort(signal, () => reject(abortError(signal)));
    timer = setTimeout(() => {
      reject(new Error(`nothing came for ${patience.silence / 1000} s`));
      stop.abort();
    }, patience.silence);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

function isStranger(url: URL): boolean {
  return globalThis.location !== undefined && url.origin !== globalThis.location.origin;
}

/** Whether a server answers: readably where it did before, else at all. */
async function isThere(url: URL, context: Context): Promise<boolean> {
  try {
    if (!context.known) return Boolean(await fetch(url, { mode: "no-cors", method: "HEAD", cache: "no-store", signal: context.signal }));
    const answer = await ask(context.known, undefined, "GET", context);
    answer.end();
    return answer.status < 300;
  } catch {
    return false;
  }
}

/** Node and Deno say why in `cause`; browsers only tell whether there is a network at all. */
function isOffline(thrown: unknown): boolean {
  const code = (thrown as { cause?: { code?: unknown } } | undefined)?.cause?.code;
  return globalThis.navigator?.onLine === false || ["ENOTFOUND", "ENETUNREACH", "ENETDOWN"].includes(String(code));
}

function messageOf(thrown: unknown): string {
  const { message, cause } = (thrown ?? {}) as { message?: unknown; cause?: { code?: unknown; message?: unknown } };
  const why = cause?.code ?? cause?.message;
  return `${String(message ?? thrown)}${why === undefined ? "" : `, ${String(why)}`}`;
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      unlisten();
      resolve();
    }, milliseconds);
    const unlisten = onAbort(signal, () => {
      clearTimeout(timer);
      reject(abortError(signal));
    });
  });
}
