import { LacewingError } from "../errors.js";
import { openPath, pathOfUrl } from "../fs.js";
import { setPlatform } from "../platform.js";
import { wasmUrl } from "../wasm.js";

setPlatform({
  wasm: () => fetch(wasmUrl),
  async withGpu(use) {
    if (!("gpu" in navigator) || !navigator.gpu) {
      throw new LacewingError("unsupported-webgpu", "Lacewing needs WebGPU: run `deno run --unstable-webgpu ...` where navigator.gpu is missing.");
    }
    return use();
  },
  openPath,
  pathOfUrl,
});

export * from "../index.js";
