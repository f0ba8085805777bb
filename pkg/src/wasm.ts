/** Written literally so that bundlers see the file and emit it once. */
export const wasmUrl: URL = new URL("./lacewing_bg.wasm", import.meta.url);
