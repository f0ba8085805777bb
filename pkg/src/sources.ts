import type { Access } from "./access.js";
import { LacewingError } from "./errors.js";
import { BlobSource, type Files, MemorySource, openList, SingleFile } from "./files.js";
import { HttpFiles } from "./http.js";
import type { Listener } from "./http-remote.js";
import { getPlatform } from "./platform.js";
import type { DirectoryFile, Source } from "./types.js";

/** Opens what the caller gave to `load`. */
export async function openSource(source: Source, access: Access, signal: AbortSignal, listener: Listener): Promise<Files> {
  const onBytes = (count: number): void => listener.arrived(count);
  if (source instanceof Uint8Array) return new SingleFile(new MemorySource("model.gguf", source, onBytes));
  if (source instanceof ArrayBuffer) return new SingleFile(new MemorySource("model.gguf", new Uint8Array(source), onBytes));
  if (source instanceof Blob) {
    return new SingleFile(new BlobSource((source as Partial<File>).name || "model.gguf", source, onBytes));
  }
  if (Array.isArray(source)) return openList(source as readonly DirectoryFile[], onBytes);
  if (typeof source === "string" || source instanceof URL) return openAddress(source, access, signal, listener);
  throw new LacewingError("bad-request", "load() takes a URL, a path, a File or Blob, bytes, or an array of Files.");
}

async function openAddress(address: string | URL, access: Access, signal: AbortSignal, listener: Listener): Promise<Files> {
  const platform = getPlatform();
  const onBytes = (count: number): void => listener.arrived(count);
  // Where there are paths, only what no path looks like is a URL: `C:\models` and `sha256:...` are files.
  const hasScheme = address instanceof URL || (platform.openPath ? /^([a-z][a-z0-9+.-]+:\/\/|file:|data:|blob:)/i : /^[a-z][a-z0-9+.-]+:/i).test(address);
  if (!hasScheme && platform.openPath) return platform.openPath(address as string, onBytes);
  let url: URL;
  try {
    url = hasScheme ? new URL(address) : new URL(address, globalThis.location?.href);
  } catch {
    throw new LacewingError("bad-request", `"${String(address)}" is not a URL.`, { url: String(address) });
  }
  switch (url.protocol) {
    case "http:":
    case "https:":
      return HttpFiles.at(url, access, signal, listener);
    case "file:":
      if (platform.openPath && platform.pathOfUrl) return platform.openPath(platform.pathOfUrl(url), onBytes);
      throw new LacewingError("bad-request", "A page cannot open file: URLs; let the user pick the file and pass the File.", { url: url.href });
    case "blob:":
    case "data:": {
      const blob = await (await fetch(url, { signal })).blob();
      return new SingleFile(new BlobSource("model.gguf", blob, onBytes));
    }
    default:
      throw new LacewingError("bad-request", `URLs of http and https are expected; found ${url.protocol}`, { url: url.href });
  }
}
