import { LacewingError } from "../errors.js";
import { setPlatform } from "../platform.js";
import { wasmUrl } from "../wasm.js";

setPlatform({
  wasm: () => fetch(wasmUrl),
  async withGpu(use) {
    if (!("gpu" in navigator) || !navigator.gpu) {
      const why = globalThis.isSecureContext
        ? "this browser has no WebGPU, or it is switched off. Use a current Chrome, Edge, Firefox or Safari."
        : "the page is not secure, and browsers offer WebGPU only to pages from https: or localhost.";
      throw new LacewingError("unsupported-webgpu", `Lacewing needs WebGPU: ${why}`, { isSecureContext: globalThis.isSecureContext });
    }
    return use();
  },
});

export * from "../index.js";
