export { DELTA_BYTES_MAX, type PageCodecs, SPARSE_BYTES_MAX, WKDM_BYTES_MAX } from "./codecs.ts";
export { loadKernels, MEMORY_BYTES_MAX, WASM_FILE } from "./load.ts";
export { type KernelRule, kernelRule } from "./rules.ts";
export { BATCH_PAGES_MAX, PAGE_BYTES, type PageKernels } from "./types.ts";
