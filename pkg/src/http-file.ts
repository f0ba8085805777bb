import { type ByteSource, checkRange } from "./files.js";
import { type Answer, Outage, type Remote } from "./http-remote.js";

/** Bytes that the first request asks for: enough for small files and most headers. They are kept. */
export const FIRST_BYTES = 1 << 20;
/** Bytes at the start of a stream that are kept: headers are read more than once. */
const KEPT_BYTES = 32 << 20;
/** Longest file whose length no header tells: all of it has to come before it can be used. */
const UNSIZED_LIMIT = 64 * 2 ** 30;

/** A remote file: read by ranges, or from one stream that goes forward. */
export class RemoteFile implements ByteSource {
  readonly name: string;
  size = 0;
  private tag: string | undefined;
  /** Whether the server answers ranges; one that stops to is asked for the whole file from then on. */
  private ranged = false;
  /** What is being read, and the offset of its next byte. */
  private answer: Answer | undefined;
  private position = 0;
  /** Bytes that came with the last ones and are not read yet. */
  private rest: Uint8Array = new Uint8Array();
  /** Offset behind the last byte that ever came: what comes again is no progress. */
  private furthest = 0;
  private head: Uint8Array = new Uint8Array();
  private kept = 0;
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(private readonly remote: Remote) {
    this.name = remote.name;
  }

  /** From the first answer to a range request (206 for the beginning). Undefined where ranges turn out to be no use. */
  static async ofRange(remote: Remote, size: number, answer: Answer): Promise<RemoteFile | undefined> {
    const file = new RemoteFile(remote);
    Object.assign(file, { size, tag: answer.tag, ranged: true, answer });
    const hidden = answer.range.first === undefined;
    // A body of another length than it says was compressed, which pages may not see.
    const compare = hidden && answer.length !== undefined && answer.length <= FIRST_BYTES;
    try {
      const most = compare ? Infinity : Math.min(FIRST_BYTES, size);
      while (file.position < most && (await file.take(most - file.position)));
    } catch (e) {
      if (remote.context.signal.aborted) throw e;
      // What is missing is asked for again, unless the break was one of decompression, which a page may not see.
      if (hidden && !(await isPlain(remote))) return undefined;
      return file.disconnected();
    }
    return compare && file.position !== answer.length ? undefined : file.disconnected();
  }

  /** From an answer with the whole file. */
  static async ofStream(remote: Remote, answer: Answer): Promise<RemoteFile> {
    const file = new RemoteFile(remote);
    Object.assign(file, { tag: answer.tag, answer });
    // What a page may not see of a stranger's answer could say that it was compressed: then its length is another.
    if (answer.length !== undefined && !(answer.isVeiled && answer.length <= KEPT_BYTES)) file.size = answer.length;
    else await file.count();
    return file;
  }

  /** Reads to the end, which tells the length. */
  private async count(): Promise<void> {
    const outage = new Outage(this.remote);
    for (;;) {
      const before = this.furthest;
      try {
        if (!this.answer) {
          const answer = await this.remote.get();
          if (answer.status !== 200) throw this.remote.refused(answer);
          if (this.isOther(answer)) throw this.remote.changed();
          this.begin(answer, 0);
        }
        while (await this.take(Infinity)) {
          if (this.position > UNSIZED_LIMIT) throw this.remote.failed("its server does not tell how long it is; use another server");
        }
        this.size = this.position;
        return this.disconnect();
      } catch (e) {
        this.disconnect();
        if (this.furthest > before) outage.over();
        await outage.wait(e);
      }
    }
  }

  /** The beginning, at most `length` bytes of it; does not count as read. */
  peek(length: number): Promise<Uint8Array> {
    return this.readInOrder(0, Math.min(length, this.size), () => undefined);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const result = this.queue.then(() => this.readInOrder(offset, length));
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async readInOrder(offset: number, length: number, arrived = (count: number) => this.remote.context.listener.arrived(count)): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    const out = new Uint8Array(length);
    const outage = new Outage(this.remote);
    let got = 0;
    const add = (bytes: Uint8Array): void => {
      out.set(bytes, got);
      got += bytes.length;
      arrived(bytes.length);
    };
    while (got < length) {
      const at = offset + got;
      if (at < this.kept) {
        add(this.head.subarray(at, Math.min(this.kept, offset + length)));
        continue;
      }
      const before = this.furthest;
      try {
        if (!this.answer || at < this.position) await this.connect(at, length - got);
        while (this.position < at && (await this.take(at - this.position)));
        let came = 0;
        while (got < length) {
          const bytes = await this.take(length - got);
          if (!bytes) break;
          came += bytes.length;
          add(bytes);
        }
        if (this.ranged || got < length) this.disconnect();
        // Servers may give less of a range than they were asked for; else the next request says what is wrong.
        if (got < length && (came === 0 || !this.ranged)) throw this.remote.ended();
      } catch (e) {
        this.disconnect();
        if (this.furthest > before || offset + got > at) outage.over();
        await outage.wait(e);
      }
    }
    return out;
  }

  /** Lets `take` give the bytes from `at` on, or some before. */
  private async connect(at: number, length: number): Promise<void> {
    this.disconnect();
    const answer = this.ranged ? await this.remote.get(at, length) : await this.remote.get();
    const { first, total } = answer.range;
    const other = this.isOther(answer);
    let problem;
    const odd = (first ?? at) > at || (first === undefined && (answer.length ?? 0) > length) || isMultipart(answer);
    if (this.ranged && !other && (answer.isEncoded || (answer.status === 206 && odd))) {
      // Not what was asked for: the whole file is.
      answer.end();
      this.ranged = false;
      return this.connect(at, length);
    }
    if (this.ranged && answer.status === 206 && !other) {
      if ((total ?? this.size) === this.size) return this.begin(answer, first ?? at);
      problem = this.remote.changed();
    } else if (answer.status !== 200 && answer.status !== 206) {
      problem = this.remote.refused(answer);
    } else if (answer.status === 200 && !other && (answer.isVeiled || (answer.length ?? this.size) === this.size)) {
      this.ranged = false;
      return this.begin(answer, 0);
    } else {
      problem = other || answer.status === 200 ? this.remote.changed() : this.remote.refused(answer);
    }
    answer.end();
    throw problem;
  }

  /** Whether the answer is of another version of the file. */
  private isOther({ tag }: Answer): boolean {
    return tag !== undefined && this.tag !== undefined && tag !== this.tag;
  }

  private begin(answer: Answer, position: number): void {
    this.answer = answer;
    this.position = position;
  }

  private disconnected(): RemoteFile {
    this.disconnect();
    return this;
  }

  private disconnect(): void {
    this.answer?.end();
    this.answer = undefined;
    this.rest = new Uint8Array();
  }

  /** The next bytes of the answer, at most `limit`; keeps those that belong to the head. Undefined at the end. */
  private async take(limit: number): Promise<Uint8Array | undefined> {
    while (this.rest.length === 0) {
      const bytes = await this.answer?.read();
      if (!bytes) return undefined;
      this.rest = bytes;
    }
    const bytes = this.rest.subarray(0, limit);
    this.rest = this.rest.subarray(bytes.length);
    this.keep(bytes);
    this.position += bytes.length;
    this.furthest = Math.max(this.furthest, this.position);
    return bytes;
  }

  private keep(bytes: Uint8Array): void {
    const end = Math.min(this.position + bytes.length, this.ranged ? FIRST_BYTES : KEPT_BYTES);
    if (this.position > this.kept || end <= this.kept) return;
    if (end > this.head.length) {
      const larger = new Uint8Array(Math.min(Math.max(end, 2 * this.head.length), KEPT_BYTES));
      larger.set(this.head.subarray(0, this.kept));
      this.head = larger;
    }
    this.head.set(bytes.subarray(this.kept - this.position, end - this.position), this.kept);
    this.kept = end;
  }
}

/** Whether as many bytes come as a range has. */
async function isPlain(remote: Remote): Promise<boolean> {
  let came = 0;
  try {
    const answer = await remote.getPatiently(0, 16);
    for (let bytes; (bytes = await answer.read()); ) came += bytes.length;
  } catch {
    return false;
  }
  return came === 16;
}

function isMultipart(answer: Answer): boolean {
  return /^multipart\//i.test(answer.response.headers.get("content-type") ?? "");
}

/**
 * Whether ranges of this file are no use, as the first answer shows. Deno leaves any compressed answer to a range request
 * as it is.
 */
export function isUseless(answer: Answer): boolean {
  return answer.isEncoded || (answer.status === 206 && ((answer.range.first ?? 0) !== 0 || isMultipart(answer)));
}
