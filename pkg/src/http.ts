import { abortError, onAbort } from "./abort.js";
import type { Access } from "./access.js";
import { LacewingError } from "./errors.js";
import { type ByteSource, checkName, checkRange, type Files } from "./files.js";

/** Bytes of the first request of a file: enough for the header of most models, and kept. */
const FIRST_BYTES = 1 << 20;
/** Without ranges: a file up to this length is kept whole, and of a longer one this much of its beginning. */
const KEPT_BYTES = 16 << 20;
/** Attempts to go on inside one slice after the first. */
const RETRIES = 3;
/** Milliseconds before the first retry; doubled each time. */
const RETRY_DELAY = 250;

/** Names of files with weights. */
const WEIGHTS = /\.(gguf|safetensors)$/i;

/** What the sources of one model share. */
interface Context {
  access: Access;
  signal: AbortSignal;
  onBytes: (count: number) => void;
}

/** A file and what lies beside it, or a directory, on an HTTP server. */
export class HttpFiles implements Files {
  private readonly file: string | undefined;
  private readonly controller = new AbortController();
  private readonly unlisten: () => void;
  private readonly context: Context;

  constructor(private readonly url: URL, access: Access, signal: AbortSignal, onBytes: (count: number) => void) {
    const last = decodeURIComponent(url.pathname.split("/").at(-1) ?? "");
    this.file = WEIGHTS.test(last) ? last : undefined;
    if (!this.file && !url.pathname.endsWith("/")) {
      this.url = new URL(url);
      this.url.pathname += "/";
    }
    this.context = { access, signal: this.controller.signal, onBytes };
    this.unlisten = onAbort(signal, () => this.controller.abort(signal.reason));
  }

  main(): string | undefined {
    return this.file;
  }

  async open(name: string): Promise<ByteSource | null> {
    if (name === this.file) {
      const source = await openHttp(name, this.url, this.context);
      if (source) return source;
      throw new LacewingError("download-failed", `${this.url.href} does not exist (the server answered 404).`, { url: this.url.href, status: 404 });
    }
    checkName(name);
    const url = new URL(name.split("/").map(encodeURIComponent).join("/"), this.url);
    return openHttp(name, url, this.context);
  }

  close(): void {
    this.unlisten();
    this.controller.abort("closed");
  }
}

/** Finds out the length and whether the server knows ranges, by asking for the beginning. Null for 404. */
async function openHttp(name: string, url: URL, context: Context): Promise<ByteSource | null> {
  const response = await request(url, 0, FIRST_BYTES, context);
  if (response.status === 404) {
    await discard(response);
    return null;
  }
  if (response.status === 416) {
    await discard(response);
    return new RangeSource(name, url, 0, "", new Uint8Array(), context);
  }
  if (response.status === 206) {
    const { start, total } = parseContentRange(response.headers.get("content-range"));
    const size = total ?? (await headLength(url, context));
    if ((start ?? 0) === 0 && size !== undefined) {
      const head = new Uint8Array(Math.min(FIRST_BYTES, size));
      let got = 0;
      try {
        await fill(response, url, head, 0, (count) => (got += count));
      } catch {
        // Only the beginning is lost: `read` asks for the rest again, with retries.
        if (context.signal.aborted) throw abortError(context.signal);
      }
      return new RangeSource(name, url, size, tagOf(response), head.subarray(0, got), context);
    }
    await discard(response);
    throw failed(url, "the server answered a range request without saying which bytes it sent", 206);
  }
  if (response.status !== 200) {
    await discard(response);
    throw failed(url, refusal(response), response.status);
  }
  return openWithoutRanges(name, url, response, context);
}

/** A server without ranges: short files and files of unknown length are kept, long ones are read forwards. */
async function openWithoutRanges(name: string, url: URL, response: Response, context: Context): Promise<ByteSource> {
  // With a content encoding the length is that of the encoded bytes.
  const length = response.headers.has("content-encoding") ? NaN : Number(response.headers.get("content-length") ?? NaN);
  if (length > KEPT_BYTES) return new ForwardSource(name, url, length, tagOf(response), response, context);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = readerOf(response, url);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
      if (size > KEPT_BYTES) {
        await reader.cancel();
        throw new LacewingError("download-failed", `${url.href}: the server knows no ranges and does not say how long the file is. Serve it with Range requests or a Content-Length.`, { url: url.href });
      }
    }
  } catch (e) {
    throw networkError(e, url, context);
  }
  if (size < length) throw failed(url, `the connection ended after ${size} of ${length} bytes`);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return new RangeSource(name, url, size, tagOf(response), whole, context);
}

/** A file on a server that knows ranges. `head` is its beginning, kept from the first request. */
class RangeSource implements ByteSource {
  constructor(
    readonly name: string,
    private readonly url: URL,
    readonly size: number,
    private readonly tag: string,
    private readonly head: Uint8Array,
    private readonly context: Context,
  ) {}

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    const out = new Uint8Array(length);
    const kept = this.head.subarray(Math.min(offset, this.head.length), Math.min(offset + length, this.head.length));
    out.set(kept);
    this.context.onBytes(kept.length);
    let got = kept.length;
    for (let attempt = 0; got < length; attempt++) {
      let problem: LacewingError;
      try {
        const response = await request(this.url, offset + got, length - got, this.context);
        const fatal = await this.check(response, offset + got);
        if (fatal === undefined) {
          await fill(response, this.url, out, got, (count) => {
            got += count;
            this.context.onBytes(count);
          });
        }
        if (got === length) break;
        problem = fatal ?? failed(this.url, `the connection ended at byte ${offset + got} of ${this.size}`);
      } catch (e) {
        problem = networkError(e, this.url, this.context);
      }
      const retryable = problem.details["fatal"] !== true && problem.code !== "aborted";
      if (attempt === RETRIES || !retryable) throw problem;
      await pause(RETRY_DELAY * 2 ** attempt, this.context);
    }
    return out;
  }

  /** What is wrong with the answer to a range request at `start`; undefined when nothing is. */
  private async check(response: Response, start: number): Promise<LacewingError | undefined> {
    const { status } = response;
    if (status === 206) {
      const range = parseContentRange(response.headers.get("content-range"));
      const changed = (range.total ?? this.size) !== this.size || (this.tag !== "" && tagOf(response) !== this.tag);
      if (!changed && (range.start ?? start) === start) return undefined;
      await discard(response);
      return failed(this.url, changed ? "the file changed on the server during the download" : "the server sent other bytes than it was asked for", status, true);
    }
    await discard(response);
    const later = status === 408 || status === 429 || status >= 500;
    if (status === 416) return failed(this.url, `the file became shorter on the server (no byte ${start})`, status, true);
    return failed(this.url, refusal(response), status, !later);
  }
}

/**
 * A long file on a server without ranges: read forwards through one response. The beginning is kept, because headers
 * are read more than once; a read before the current position starts the download again.
 */
class ForwardSource implements ByteSource {
  private readonly head: Uint8Array;
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  private position = 0;
  /** Bytes that arrived after `position`. */
  private rest: Uint8Array = new Uint8Array();
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly url: URL,
    readonly size: number,
    private readonly tag: string,
    response: Response,
    private readonly context: Context,
  ) {
    this.head = new Uint8Array(KEPT_BYTES);
    this.reader = readerOf(response, url);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const result = this.queue.then(() => this.readInOrder(offset, length));
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async readInOrder(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    const out = new Uint8Array(length);
    let got = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        const keptEnd = Math.min(this.position, this.head.length);
        if (offset + got < keptEnd) {
          const kept = this.head.subarray(offset + got, Math.min(offset + length, keptEnd));
          out.set(kept, got);
          got += kept.length;
          this.context.onBytes(kept.length);
        }
        if (got === length) return out;
        if (!this.reader || offset + got < this.position) await this.restart();
        await this.skipTo(offset + got);
        while (got < length) {
          const chunk = await this.take(length - got);
          out.set(chunk, got);
          got += chunk.length;
          this.context.onBytes(chunk.length);
        }
        return out;
      } catch (e) {
        this.reader = undefined;
        const problem = networkError(e, this.url, this.context);
        if (attempt === RETRIES || problem.details["fatal"] === true || problem.code === "aborted") throw problem;
        await pause(RETRY_DELAY * 2 ** attempt, this.context);
      }
    }
  }

  private async restart(): Promise<void> {
    await this.reader?.cancel().catch(() => undefined);
    const response = await request(this.url, undefined, undefined, this.context);
    if (response.status !== 200) throw failed(this.url, `the server answered ${response.status}`, response.status, true);
    if (Number(response.headers.get("content-length")) !== this.size || tagOf(response) !== this.tag) {
      throw failed(this.url, "the file changed on the server during the download", 200, true);
    }
    this.reader = readerOf(response, this.url);
    this.position = 0;
    this.rest = new Uint8Array();
  }

  private async skipTo(offset: number): Promise<void> {
    while (this.position < offset) await this.take(offset - this.position);
  }

  /** The next bytes of the response, at most `limit`; keeps those that belong to the head. */
  private async take(limit: number): Promise<Uint8Array> {
    if (this.rest.length === 0) {
      const { done, value } = await this.reader!.read();
      if (done) throw failed(this.url, `the connection ended at byte ${this.position} of ${this.size}`);
      this.rest = value;
    }
    const chunk = this.rest.subarray(0, limit);
    this.rest = this.rest.subarray(chunk.length);
    if (this.position < this.head.length) this.head.set(chunk.subarray(0, this.head.length - this.position), this.position);
    this.position += chunk.length;
    return chunk;
  }
}

async function request(url: URL, offset: number | undefined, length: number | undefined, context: Context): Promise<Response> {
  try {
    return await ask(url, offset === undefined ? {} : { Range: `bytes=${offset}-${offset + length! - 1}` }, "GET", context);
  } catch (e) {
    throw networkError(e, url, context);
  }
}

/** The one place that calls `fetch`. */
function ask(url: URL, more: Record<string, string>, method: string, context: Context): Promise<Response> {
  const headers = new Headers(context.access.headers);
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  const init: RequestInit = { method, headers, signal: context.signal };
  // Weights are read once and are larger than what an HTTP cache takes: Firefox breaks off bodies that its cache gives
  // up on, and pieces of a file in a cache may be of different versions.
  if (WEIGHTS.test(url.pathname)) init.cache = "no-store";
  return (context.access.fetch ?? fetch)(url, init);
}

/** Length by HEAD, for servers whose Content-Range a page may not see; Content-Length it always may. */
async function headLength(url: URL, context: Context): Promise<number | undefined> {
  const response = await ask(url, {}, "HEAD", context).catch(() => undefined);
  const length = response?.ok ? response.headers.get("content-length") : null;
  return length === null || length === undefined ? undefined : Number(length);
}

/** Copies a body to `out` from `at` on. `onChunk` hears what arrived, even when the body breaks off. */
async function fill(response: Response, url: URL, out: Uint8Array, at: number, onChunk: (count: number) => void): Promise<void> {
  const reader = readerOf(response, url);
  while (at < out.length) {
    const { done, value } = await reader.read();
    if (done) return;
    const chunk = value.subarray(0, out.length - at);
    out.set(chunk, at);
    at += chunk.length;
    onChunk(chunk.length);
  }
  await reader.cancel().catch(() => undefined);
}

function readerOf(response: Response, url: URL): ReadableStreamDefaultReader<Uint8Array> {
  if (!response.body) throw failed(url, "the answer has no body");
  return response.body.getReader();
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

/** `bytes 0-99/1234`, or nothing where it is absent, hidden by CORS, or `*`. */
function parseContentRange(header: string | null): { start?: number; total?: number } {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? "");
  if (!match) return {};
  return match[2] === "*" ? { start: Number(match[1]) } : { start: Number(match[1]), total: Number(match[2]) };
}

/** What identifies the version of a file. Weak tags may differ between byte-identical answers, so they do not count. */
function tagOf(response: Response): string {
  const tag = response.headers.get("etag") ?? "";
  return tag.startsWith("W/") ? "" : tag;
}

function failed(url: URL, why: string, status?: number, fatal = false, cause?: unknown): LacewingError {
  const details = { url: url.href, ...(status === undefined ? {} : { status }), ...(fatal ? { fatal } : {}) };
  const options = cause === undefined ? undefined : { cause };
  return new LacewingError("download-failed", `${url.href} could not be downloaded: ${why}.`, details, options);
}

/** Why an answer with another status than asked for is no use, and what to do where that is known. */
function refusal({ status, statusText }: Response): string {
  const gated = status === 401 || status === 403 ? '; if the repository is gated, pass headers: { Authorization: "Bearer ..." } to load()' : "";
  return `the server answered ${`${status} ${statusText}`.trimEnd()}${gated}`;
}

/** A failed fetch or a broken body as an error with the right code. */
function networkError(thrown: unknown, url: URL, context: Context): LacewingError {
  if (context.signal.aborted) return abortError(context.signal);
  if (thrown instanceof LacewingError) return thrown;
  // Node and Deno say why in `cause`; browsers only tell whether there is a network at all.
  const cause = (thrown as { cause?: { code?: unknown } } | undefined)?.cause?.code;
  const noNetwork = globalThis.navigator?.onLine === false || ["ENOTFOUND", "EAI_AGAIN", "ENETUNREACH", "ENETDOWN"].includes(String(cause));
  if (noNetwork) {
    return new LacewingError("offline", `${url.href} cannot be reached: there is no network connection.`, { url: url.href }, { cause: thrown });
  }
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return failed(url, `the connection failed (${why}${cause === undefined ? "" : `, ${String(cause)}`})`, undefined, false, thrown);
}

function pause(milliseconds: number, context: Context): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(abortError(context.signal));
    };
    const timer = setTimeout(() => {
      context.signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    context.signal.addEventListener("abort", stop, { once: true });
  });
}
