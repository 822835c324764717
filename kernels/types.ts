import type { PageCodecs } from "./codecs.ts";

/**
 * The kernels that run over pages in one WASM memory. The relay's buffers live in that memory, so nothing is copied.
 * Addresses are u32 byte offsets in `bytes`. They are the caller's own, never a peer's: one outside the memory is a bug
 * and traps (WebAssembly.RuntimeError), as does a result that would fall below `freeStart`.
 */
export interface PageKernels extends PageCodecs {
  /** The memory; fixed size, never grows (growing would detach the buffers that sockets read into). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Byte offset from which `bytes` belongs to the caller (arenas); a multiple of 64 KiB. Below lies the scratch. */
  readonly freeStart: number;
  /** Address of 4096 zero bytes that nobody writes. */
  readonly zeroPage: number;
  /**
   * 64-bit XXH3 (seeded) of `count` pages of 4096 bytes, whose addresses stand in the `addresses` scratch array; results
   * go to `hashes` as pairs (low, high).
   * @param count  0..BATCH_PAGES_MAX
   */
  hashPages(count: number): void;
  /** Seeded XXH3 of any range; for encoded bodies. Result in hashes[0], hashes[1]. */
  hashRange(address: number, length: number): void;
  /**
   * Whether each of the pages in `addresses` holds only zeros: 1 or 0 into `zeroFlags`. Stops at the first byte that is
   * not zero, so a page of data costs next to nothing.
   * @param count  0..BATCH_PAGES_MAX
   */
  zeroPages(count: number): void;
  /**
   * The number of zero bytes of each of the pages in `addresses`, 0..4096, into `zeroCounts`. MECOM (Jin et al., CLUSTER
   * 2009) chooses an encoding by it.
   * @param count  0..BATCH_PAGES_MAX
   */
  countZeroBytes(count: number): void;
  /** Offset of the first byte in which two pages differ, 4096 when they are equal. */
  comparePages(a: number, b: number): number;
  /** BATCH_PAGES_MAX places. */
  readonly addresses: Uint32Array<ArrayBuffer>;
  /** 2 x BATCH_PAGES_MAX places. */
  readonly hashes: Uint32Array<ArrayBuffer>;
  /** BATCH_PAGES_MAX places. */
  readonly zeroFlags: Uint8Array<ArrayBuffer>;
  /** BATCH_PAGES_MAX places. */
  readonly zeroCounts: Uint32Array<ArrayBuffer>;
  /** Sets the seed (two u32) of all later hashes; 0, 0 until called. */
  seed(low: number, high: number): void;
}

export { PAGES_MAX as BATCH_PAGES_MAX } from "./layout.ts";
export const PAGE_BYTES = 4096;
