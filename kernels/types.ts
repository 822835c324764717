/** The kernels that run over pages in one WASM memory. The relay's buffers live in that memory, so nothing is copied. */
export interface PageKernels {
  /** The memory; fixed size, never grows (growing would detach the buffers that sockets read into). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Byte offset from which `bytes` belongs to the caller (arenas); a multiple of 64 KiB. Below lies the scratch. */
  readonly freeStart: number;
  /** Address of 4096 zero bytes that nobody writes. */
  readonly zeroPage: number;
  /**
   * 64-bit XXH3 (seeded) of `count` pages of 4096 bytes. Addresses are u32 byte offsets in `bytes`, read from the
   * `addresses` scratch array; results go to `hashes` as pairs (low, high). A page outside the memory is a bug and traps.
   * @param count  0..BATCH_PAGES_MAX
   */
  hashPages(count: number): void;
  /** Seeded XXH3 of any range; for encoded bodies. Result in hashes[0], hashes[1]. */
  hashRange(address: number, length: number): void;
  /** BATCH_PAGES_MAX places. */
  readonly addresses: Uint32Array<ArrayBuffer>;
  /** 2 x BATCH_PAGES_MAX places. */
  readonly hashes: Uint32Array<ArrayBuffer>;
  /** Sets the seed (two u32) of all later hashes; 0, 0 until called. */
  seed(low: number, high: number): void;
}

export { PAGES_MAX as BATCH_PAGES_MAX } from "./layout.ts";
export const PAGE_BYTES = 4096;
