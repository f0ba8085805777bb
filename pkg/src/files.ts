import { LacewingError } from "./errors.js";
import type { DirectoryFile } from "./types.js";

/** Random access to one file. The wasm side (`src/web.rs`) calls these. */
export interface ByteSource {
  /** Name for messages. */
  name: string;
  /** Length in bytes. */
  size: number;
  /** Exactly `length` bytes at `offset`; rejects with a LacewingError otherwise. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Where the files of one model lie. */
export interface Files {
  /** The file that the caller named; undefined for a directory. */
  main(): string | undefined;
  /** Opens a file by its name in the directory (or beside the main file); null when there is none, or, where `needed`, an error that says more. */
  open(name: string, needed?: boolean): Promise<ByteSource | null>;
  /** Ends running downloads and closes file handles. */
  close(): void;
}

/** Throws unless the range lies in the file. */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw new LacewingError("bad-file", `${name} has ${size} bytes; bytes ${offset} to ${offset + length} were asked for. The file is cut short or damaged.`);
  }
}

/** A Blob or File; nothing is read before it is asked for. */
export class BlobSource implements ByteSource {
  readonly size: number;
  constructor(readonly name: string, private readonly blob: Blob, private readonly onBytes: (count: number) => void) {
    this.size = blob.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await this.blob.slice(offset, offset + length).arrayBuffer());
    } catch (e) {
      // The file was moved, changed or deleted after it was picked.
      throw new LacewingError("bad-file", `${this.name} cannot be read any more: ${String(e)}. Pick it again.`, {}, { cause: e });
    }
    this.onBytes(length);
    return bytes;
  }
}

/** Bytes in memory. */
export class MemorySource implements ByteSource {
  readonly size: number;
  constructor(readonly name: string, private readonly bytes: Uint8Array, private readonly onBytes: (count: number) => void) {
    this.size = bytes.length;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    this.onBytes(length);
    return Promise.resolve(this.bytes.subarray(offset, offset + length));
  }
}

/** One file alone. */
export class SingleFile implements Files {
  constructor(private readonly source: ByteSource) {}
  main(): string {
    return this.source.name;
  }
  open(name: string): Promise<ByteSource | null> {
    return Promise.resolve(name === this.source.name ? this.source : null);
  }
  close(): void {}
}

/** Opens the Files that a directory picker, a drop or an input with several files gives. */
export async function openList(list: readonly DirectoryFile[], onBytes: (count: number) => void): Promise<Files> {
  const files = list.map(withPath);
  // config.json marks the directory, unless it came along with a GGUF; of several, the one nearest to the top.
  const depth = (entry: Entry): number => entry.path.split("/").length;
  const config = files.filter((entry) => nameOf(entry) === "config.json").sort((a, b) => depth(a) - depth(b))[0];
  const gguf = config && files.some(({ path }) => /\.safetensors$/i.test(path)) ? undefined : await findGguf(files);
  const anchor = files.length === 1 ? files[0] : (gguf ?? config);
  if (!anchor) {
    const found = files.map(nameOf).slice(0, 8).join(", ") || "no files";
    throw new LacewingError("bad-request", `One GGUF file, or the files of a directory with config.json, are expected; found ${found}.`);
  }
  return new FileList(files, anchor, onBytes);
}

/** The one GGUF among other files, or a part of it: its first bytes say so, blob stores have no names for it. */
async function findGguf(files: Entry[]): Promise<Entry | undefined> {
  const heads = await Promise.all(files.map(({ file }) => file.slice(0, 4).text()));
  const found = files.filter((_, i) => heads[i] === "GGUF");
  const models = new Set(found.map(({ path }) => path.replace(/-\d{5}(?=-of-\d{5})/, "")));
  return models.size === 1 ? found[0] : undefined;
}

class FileList implements Files {
  private readonly byName = new Map<string, File>();
  private readonly mainName: string | undefined;

  constructor(files: Entry[], anchor: Entry, private readonly onBytes: (count: number) => void) {
    const name = nameOf(anchor);
    this.mainName = name === "config.json" ? undefined : name;
    const prefix = anchor.path.slice(0, anchor.path.length - name.length);
    for (const { path, file } of files) {
      if (path.startsWith(prefix)) this.byName.set(path.slice(prefix.length), file);
    }
  }

  main(): string | undefined {
    return this.mainName;
  }
  open(name: string): Promise<ByteSource | null> {
    const file = this.byName.get(name);
    return Promise.resolve(file ? new BlobSource(name, file, this.onBytes) : null);
  }
  close(): void {}
}

/** A File of a list and its path in it. */
interface Entry {
  path: string;
  file: File;
}

function nameOf({ path }: Entry): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A File with its path written out: `webkitRelativePath` does not survive the way to a worker. */
export function withPath(entry: DirectoryFile): Entry {
  return entry instanceof File ? { path: entry.webkitRelativePath || entry.name, file: entry } : entry;
}
