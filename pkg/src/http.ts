import { onAbort } from "./abort.js";
import type { Access } from "./access.js";
import { LacewingError } from "./errors.js";
import type { ByteSource, Files } from "./files.js";
import { Address } from "./http-address.js";
import { FIRST_BYTES, isUseless, RemoteFile } from "./http-file.js";
import { type Answer, type Context, type Listener, type Patience, PATIENCE, Remote } from "./http-remote.js";

/** Bytes at the beginning of a file that tell whether it is a page. */
const PAGE_HEAD = 1024;

/**
 * A file and its neighbours, or a directory, on a server. The policy is written down in `src/formats/http/mod.rs`, which
 * does the same natively; both run `tests/goldens/http/cases.json`.
 */
export class HttpFiles implements Files {
  private readonly controller = new AbortController();
  private readonly unlisten: () => void;
  private readonly context: Context;
  private readonly address: Address;
  /** The file itself, where it had to be asked for to know that it is one. */
  private probed: ByteSource | undefined;
  private isFile: boolean;

  private constructor(url: URL, access: Access, signal: AbortSignal, listener: Listener, patience: Patience) {
    this.address = new Address(url);
    this.isFile = this.address.isFile;
    this.context = { access, authorization: this.address.authorization, signal: this.controller.signal, patience, listener };
    this.unlisten = onAbort(signal, () => this.controller.abort(signal.reason));
  }

  /** Asks for nothing, except to find out what an address without a known ending is. */
  static async at(url: URL, access: Access, signal: AbortSignal, listener: Listener, patience = PATIENCE): Promise<HttpFiles> {
    const files = new HttpFiles(url, access, signal, listener, patience);
    const { isFile, name } = files.address;
    if (isFile || name === "") return files;
    try {
      const found = await open(files.remote(name, files.address.url), false);
      const head = await found?.peek(PAGE_HEAD);
      if (head && (head.includes(0) || text(head).startsWith("GGUF"))) {
        files.isFile = true;
        files.probed = found;
      }
    } catch (e) {
      files.close();
      throw e;
    }
    return files;
  }

  main(): string | undefined {
    return this.isFile ? this.address.name : undefined;
  }

  async open(name: string, needed = false): Promise<ByteSource | null> {
    if (name === this.main()) return this.probed ?? (await open(this.remote(name, this.address.url), true)) ?? null;
    const remote = this.remote(name, this.address.other(name, !this.isFile));
    const isConfig = !this.isFile && name === "config.json";
    try {
      return (await open(remote, needed || isConfig)) ?? null;
    } catch (e) {
      if (!isConfig || !(e instanceof LacewingError) || (e.details["status"] !== 404 && e.details["status"] !== 410)) throw e;
      // What was given is no model at all.
      throw new LacewingError("bad-request", `${e.message} Expected is the URL of a .gguf file, or of a Hugging Face directory with config.json.`, e.details);
    }
  }

  close(): void {
    this.unlisten();
    this.controller.abort("closed");
  }

  private remote(name: string, url: URL): Remote {
    return new Remote(name, url, this.context);
  }
}

/** Finds out what there is, by asking for the beginning. Undefined for a file that is absent and not `needed`. */
async function open(remote: Remote, needed: boolean): Promise<RemoteFile | undefined> {
  let answer: Answer;
  try {
    // Chromium reads no compressed answer to a range request.
    answer = await remote.getPatiently(0, FIRST_BYTES).catch((e: unknown) => (isUnreadable(e) ? remote.getPatiently() : Promise.reject(e)));
  } catch (e) {
    // Many servers let a page read their files, but not that there is none.
    if (!needed && remote.context.known && isUnreadable(e)) return undefined;
    throw e;
  }
  const again = async (offset?: number, length?: number): Promise<void> => {
    answer.end();
    answer = await remote.getPatiently(offset, length);
  };
  if (answer.status === 416) {
    // Some servers do not shorten a range that ends behind the file; an empty file has no range at all.
    const { total } = answer.range;
    await (total ? again(0, Math.min(total, FIRST_BYTES)) : again());
  }
  let file: RemoteFile | undefined;
  if (isUseless(answer)) {
    await again();
  } else if (answer.status === 206) {
    const total = answer.range.total ?? (await remote.headLength());
    file = total === undefined ? undefined : await RemoteFile.ofRange(remote, total, answer);
    if (!file) await again();
  }
  if (answer.status === 200) {
    file = await RemoteFile.ofStream(remote, answer);
  } else if (!file) {
    answer.end();
    if (!needed && answer.status >= 400 && answer.status < 500) return undefined;
    throw remote.refused(answer);
  }
  if (!isPage(remote.name, await file.peek(PAGE_HEAD))) return file;
  if (needed) throw remote.failed("its server answers with a web page instead of the file; check the address and whether it needs a login");
  return undefined;
}

function isUnreadable(e: unknown): boolean {
  return e instanceof LacewingError && e.details["unreadable"] === true;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/**
 * Whether a file that begins like this is a page of HTML or XML. Chat templates may begin with a tag too (`<s>`), so only
 * what begins a document counts; no JSON begins with a tag.
 */
function isPage(name: string, head: Uint8Array): boolean {
  const start = text(head).replace(/^\s*(<!--[^]*?-->\s*)*/, "");
  return /^(<!doctype|<html|<head|<\?xml|<error)[\s>]/i.test(start) || (start.startsWith("<") && name.endsWith(".json"));
}
