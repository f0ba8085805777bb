import { readFile } from "node:fs/promises";
import { LacewingError } from "../errors.js";
import { openPath, pathOfUrl } from "../fs.js";
import { setPlatform } from "../platform.js";
import { wasmUrl } from "../wasm.js";

/** The one Dawn instance of the process. It must outlive every object made from it. */
let dawn: Promise<unknown> | undefined;

async function startDawn(): Promise<unknown> {
  let webgpu: { create(flags: string[]): unknown; globals: Record<string, unknown> };
  try {
    // The name is not a literal for TypeScript and bundlers: the package is optional.
    const name = "webgpu";
    webgpu = (await import(name)) as typeof webgpu;
  } catch (e) {
    dawn = undefined;
    throw new LacewingError("unsupported-webgpu", `Node has no WebGPU of its own: run \`npm install webgpu\`. (${String((e as Error).message)})`, {}, { cause: e });
  }
  // Classes and flags such as GPUBufferUsage, which the generated code looks up.
  for (const [key, value] of Object.entries(webgpu.globals)) {
    if (!(key in globalThis)) Object.defineProperty(globalThis, key, { value, configurable: true, writable: true });
  }
  return webgpu.create([]);
}

/** How many `withGpu` are under way: the last one takes the disguise off. */
let users = 0;
let undo: (() => void)[] = [];

/** Defines a property of an object for a while; returns what puts the old state back. */
function lend(target: object, key: string, value: unknown): () => void {
  const old = Object.getOwnPropertyDescriptor(target, key);
  Object.defineProperty(target, key, { value, configurable: true, writable: true });
  return () => {
    if (old) Object.defineProperty(target, key, old);
    else Reflect.deleteProperty(target, key);
  };
}

setPlatform({
  wasm: () => readFile(wasmUrl),
  async withGpu(use) {
    const gpu = await (dawn ??= startDawn());
    if (users++ === 0) {
      // wgpu looks for `navigator.gpu` only where the global object is a Window or a WorkerGlobalScope. Other code
      // takes these for signs of a browser, so they are here only while a device is asked for.
      class WorkerGlobalScope {
        static [Symbol.hasInstance](value: unknown): boolean {
          return value === globalThis;
        }
      }
      if (!globalThis.navigator) undo.push(lend(globalThis, "navigator", {}));
      undo.push(lend(globalThis.navigator, "gpu", gpu), lend(globalThis, "WorkerGlobalScope", WorkerGlobalScope));
    }
    try {
      return await use();
    } finally {
      if (--users === 0) for (const restore of undo.splice(0).reverse()) restore();
    }
  },
  openPath,
  pathOfUrl,
});

export * from "../index.js";
