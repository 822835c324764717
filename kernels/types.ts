/** The kernels that run over pages in one WASM memory. The relay's buffers live in that memory, so nothing is copied. */
export interface PageKernels {
  /** The memory; fixed size, never grows (growing would detach the buffers that sockets read into). */
  readonly bytes: Uint8Array;
  /**
   * 64-bit XXH3 (seeded) of `count` pages of 4096 bytes. Addresses are u32 byte offsets in `bytes`, read from the
   * `addresses` scratch array; results go to `hashes` as pairs (low, high).
   * @param count  0..BATCH_PAGES_MAX
   */
  hashPages(count: number): void;
  /** Seeded XXH3 of any range; for encoded bodies. Result in hashes[0], hashes[1]. */
  hashRange(address: number, length: number): void;
  readonly addresses: Uint32Array;
  readonly hashes: Uint32Array;
  /** Sets the seed of all later hashes. */
  seed(low: number, high: number): void;
}

export const BATCH_PAGES_MAX = 256;
export const PAGE_BYTES = 4096;
