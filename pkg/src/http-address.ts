import { LacewingError } from "./errors.js";

/** Names that are files by their ending. Of others only the server knows whether they are files or directories. */
const FILES = /.\.(gguf|safetensors|json|bin|pt|pth|ckpt)$/i;

/** What a URL says: which file or directory, and how its neighbours are asked for. */
export class Address {
  readonly url: URL;
  /** The value of the header `Authorization`, where the URL holds a user: fetch takes no such URL, and no message may show it. */
  readonly authorization: string | undefined;
  /** The name of what the path ends in; empty for a directory. */
  readonly name: string;
  /** Whether the ending alone tells that this is a file. */
  readonly isFile: boolean;
  private readonly isDecoded: boolean;

  constructor(given: URL) {
    this.url = huggingFace(given);
    const { username, password } = this.url;
    if (username || password) {
      const bytes = new TextEncoder().encode(`${decoded(username) ?? username}:${decoded(password) ?? password}`);
      this.authorization = `Basic ${btoa(String.fromCharCode(...bytes))}`;
      this.url.username = this.url.password = "";
    }
    this.url.hash = "";
    // A `%` that begins no code is a letter of a name.
    this.url.pathname = this.url.pathname.replace(/%(?![0-9a-f]{2})/gi, "%25");
    const last = this.url.pathname.split("/").at(-1)!;
    const name = decoded(last);
    this.isDecoded = name !== undefined;
    this.name = name ?? last;
    this.isFile = FILES.test(this.name);
  }

  /** The URL of another file: beside this one, or inside this directory. A query goes with it: signatures stand there. */
  other(name: string, inside: boolean): URL {
    if (/^\.{0,2}$|[/\\]/.test(name)) {
      throw new LacewingError("bad-file", `"${name}" is not the name of a file in the model's own folder.`, { name });
    }
    let part = encodeURIComponent(name).replaceAll("%2B", "+");
    if (!this.isDecoded) part = part.replace(/%25(?=[0-9a-f]{2})/gi, "%");
    const url = new URL(this.url);
    const path = url.pathname;
    url.pathname = (inside ? path.replace(/\/?$/, "/") : path.slice(0, path.lastIndexOf("/") + 1)) + part;
    return url;
  }
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** Addresses as people copy them from huggingface.co: the pages of a model and of its files become where the bytes are. */
function huggingFace(given: URL): URL {
  const url = new URL(given);
  if (url.hostname !== "huggingface.co" && url.hostname !== "hf.co") return url;
  const [owner, name, kind, ...rest] = url.pathname.split("/").filter((part) => part !== "");
  if (!owner || !name) return url;
  const slash = kind === "tree" ? "/" : "";
  if (kind === undefined) url.pathname = `/${owner}/${name}/resolve/main/`;
  else if (/^(tree|blob|raw)$/.test(kind) && rest.length > 0) url.pathname = `/${owner}/${name}/resolve/${rest.join("/")}${slash}`;
  return url;
}
