import type { Files } from "./files.js";
import { LacewingError } from "./errors.js";

/** What differs between a browser, Node and Deno. `entry/*.ts` have one each. */
export interface Platform {
  /** The bytes of lacewing_bg.wasm, or a response that streams them. */
  wasm(): Promise<Response | BufferSource>;
  /**
   * Runs `use` while `navigator.gpu` is there, in a global object that wgpu recognises. Throws `unsupported-webgpu`
   * where there is no WebGPU.
   */
  withGpu<T>(use: () => Promise<T>): Promise<T>;
  /** Opens a file or directory by its path, where there are such. */
  openPath?(path: string, onBytes: (count: number) => void): Promise<Files>;
  /** The path that a `file:` URL names, where there are such. */
  pathOfUrl?(url: URL): string;
}

let platform: Platform | undefined;

/** Called once, by the entry module. */
export function setPlatform(value: Platform): void {
  platform = value;
}

/** The platform of this process. */
export function getPlatform(): Platform {
  if (!platform) {
    throw new LacewingError("bad-request", 'Import "lacewing" (or "lacewing/node", "lacewing/deno"), not one of its inner modules.');
  }
  return platform;
}
