import { readFileSync } from "node:fs";
import { join } from "node:path";
import { GodwitError } from "../src/errors/mod.ts";
import type { PageCodecs } from "./codecs.ts";
import {
  ADDRESSES_AT,
  FREE_START,
  HASHES_AT,
  ZERO_COUNTS_AT,
  ZERO_FLAGS_AT,
  ZERO_PAGE_AT,
} from "./layout.ts";
import { BATCH_PAGES_MAX, type PageKernels } from "./types.ts";

/** Where the compiled kernels lie. */
export const WASM_FILE = join(import.meta.dirname, "build", "kernels.wasm");

const WASM_PAGE_BYTES = 65_536;
/** 1 GiB: far above any arena, and every address is a small integer to V8. */
export const MEMORY_BYTES_MAX = 2 ** 30;

/** The functions that the module exports; numbers are u32. */
type Exports = PageCodecs &
  Pick<PageKernels, "hashPages" | "hashRange" | "zeroPages" | "countZeroBytes" | "comparePages" | "seed">;

/** All of them by name: a module that lacks one was compiled from older sources. */
const FUNCTIONS = Object.keys({
  hashPages: true,
  hashRange: true,
  zeroPages: true,
  countZeroBytes: true,
  comparePages: true,
  deltaEncode: true,
  deltaDecode: true,
  sparseEncode: true,
  sparseDecode: true,
  wkdmEncode: true,
  wkdmDecode: true,
  seed: true,
} satisfies { readonly [name in keyof Exports]: true });

/**
 * Instantiates the kernels with a memory of their own.
 * @param options.memoryBytes  scratch and arenas together, 128 KiB..1 GiB; rounded up to a multiple of 64 KiB
 * @param options.file  the compiled kernels, if they lie elsewhere
 * @throws GodwitError KERNELS_MISSING when they have not been compiled, or from older sources
 */
export function loadKernels(options: { readonly memoryBytes: number; readonly file?: string }): PageKernels {
  const { memoryBytes, file = WASM_FILE } = options;
  if (!(memoryBytes >= 2 * FREE_START && memoryBytes <= MEMORY_BYTES_MAX)) {
    throw new RangeError(`memoryBytes ${memoryBytes} is outside ${2 * FREE_START}..${MEMORY_BYTES_MAX}`);
  }
  const pages = Math.ceil(memoryBytes / WASM_PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const instance = new WebAssembly.Instance(compiled(file), { env: { memory } });
  const functions = exported(instance, file);
  functions.seed(0, 0);
  return {
    ...functions,
    bytes: new Uint8Array(memory.buffer),
    freeStart: FREE_START,
    zeroPage: ZERO_PAGE_AT,
    addresses: new Uint32Array(memory.buffer, ADDRESSES_AT, BATCH_PAGES_MAX),
    hashes: new Uint32Array(memory.buffer, HASHES_AT, 2 * BATCH_PAGES_MAX),
    zeroFlags: new Uint8Array(memory.buffer, ZERO_FLAGS_AT, BATCH_PAGES_MAX),
    zeroCounts: new Uint32Array(memory.buffer, ZERO_COUNTS_AT, BATCH_PAGES_MAX),
  };
}

function exported(instance: WebAssembly.Instance, file: string): Exports {
  const missing = FUNCTIONS.filter((name) => typeof instance.exports[name] !== "function");
  if (missing.length > 0) {
    throw new GodwitError(
      "KERNELS_MISSING",
      { path: file },
      { cause: new Error(`the file lacks ${missing.join(", ")}: compiled from older sources`) },
    );
  }
  // WASM numbers are signed when they come out; every result here is far below 2^31.
  return Object.fromEntries(FUNCTIONS.map((name) => [name, instance.exports[name]])) as unknown as Exports;
}

function compiled(file: string): WebAssembly.Module {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new GodwitError("KERNELS_MISSING", { path: file }, { cause: error });
  }
  return new WebAssembly.Module(bytes);
}
