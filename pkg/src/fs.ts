import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LacewingError } from "./errors.js";
import { type ByteSource, checkRange, type Files } from "./files.js";

/** The path that a `file:` URL names; `windows` is for tests, the default is this system's way. */
export function pathOfUrl(url: URL, windows?: boolean): string {
  try {
    return fileURLToPath(url, windows === undefined ? undefined : { windows });
  } catch (e) {
    throw new LacewingError("bad-request", `${url.href} does not name a file of this system: ${String((e as Error).message)}.`, { url: url.href }, { cause: e });
  }
}

/** Opens a model file or directory of the local disk (Node and Deno). */
export async function openPath(path: string, onBytes: (count: number) => void): Promise<Files> {
  const info = await stat(path).catch((e: unknown) => {
    throw new LacewingError("bad-request", `${path} cannot be opened: ${String((e as Error).message)}.`, { path }, { cause: e });
  });
  return info.isDirectory() ? new PathFiles(path, undefined, onBytes) : new PathFiles(dirname(path), basename(path), onBytes);
}

class PathFiles implements Files {
  private readonly handles: FileHandle[] = [];
  constructor(private readonly directory: string, private readonly file: string | undefined, private readonly onBytes: (count: number) => void) {}

  main(): string | undefined {
    return this.file;
  }

  async open(name: string): Promise<ByteSource | null> {
    const path = join(this.directory, name);
    let handle: FileHandle;
    try {
      handle = await open(path, "r");
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new LacewingError("bad-file", `${path} cannot be opened: ${(e as Error).message}.`, { path }, { cause: e });
    }
    this.handles.push(handle);
    const { size } = await handle.stat();
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      checkRange(path, size, offset, length);
      const out = new Uint8Array(length);
      for (let got = 0; got < length; ) {
        const { bytesRead } = await handle.read(out, got, length - got, offset + got);
        if (bytesRead === 0) throw new LacewingError("bad-file", `${path} became shorter while it was read.`, { path });
        got += bytesRead;
      }
      this.onBytes(length);
      return out;
    };
    return { name, size, read };
  }

  close(): void {
    for (const handle of this.handles.splice(0)) void handle.close().catch(() => undefined);
  }
}
