import type { Access } from "./access.js";
import { LacewingError } from "./errors.js";
import { BlobSource, type Files, MemorySource, openList, SingleFile } from "./files.js";
import { HttpFiles } from "./http.js";
import { getPlatform } from "./platform.js";
import type { DirectoryFile, Source } from "./types.js";

/** Opens what the caller gave to `load`. `onBytes` hears of every byte that arrives. */
export async function openSource(source: Source, access: Access, signal: AbortSignal, onBytes: (count: number) => void): Promise<Files> {
  if (source instanceof Uint8Array) return new SingleFile(new MemorySource("model.gguf", source, onBytes));
  if (source instanceof ArrayBuffer) return new SingleFile(new MemorySource("model.gguf", new Uint8Array(source), onBytes));
  if (source instanceof Blob) {
    return new SingleFile(new BlobSource((source as Partial<File>).name || "model.gguf", source, onBytes));
  }
  if (Array.isArray(source)) return openList(source as readonly DirectoryFile[], onBytes);
  if (typeof source === "string" || source instanceof URL) return openAddress(source, access, signal, onBytes);
  throw new LacewingError("bad-request", "load() takes a URL, a path, a File or Blob, bytes, or an array of Files.");
}

async function openAddress(address: string | URL, access: Access, signal: AbortSignal, onBytes: (count: number) => void): Promise<Files> {
  const platform = getPlatform();
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
      return new HttpFiles(huggingFace(url), access, signal, onBytes);
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

/** Addresses as people copy them from huggingface.co: the model's page and a file's page become where the bytes are. */
export function huggingFace(url: URL): URL {
  if (url.hostname !== "huggingface.co" && url.hostname !== "hf.co") return url;
  const [owner, name, kind, ...rest] = url.pathname.split("/").filter((part) => part !== "");
  if (!owner || !name) return url;
  const fixed = new URL(url);
  if (kind === undefined) fixed.pathname = `/${owner}/${name}/resolve/main/`;
  else if (kind === "tree" || kind === "blob") fixed.pathname = `/${owner}/${name}/resolve/${rest.join("/")}`;
  return fixed;
}
