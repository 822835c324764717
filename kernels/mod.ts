export { loadKernels, MEMORY_BYTES_MAX, WASM_FILE } from "./load.ts";
export { BATCH_PAGES_MAX, PAGE_BYTES, type PageKernels } from "./types.ts";
