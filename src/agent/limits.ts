/** Bounds of an order that the command line checks, too, without loading the API's schemas. */

/** QEMU's own largest downtime-limit. */
export const DOWNTIME_LIMIT_MS_MAX = 2_000_000;

/** The kernels' memory ends at 1 GiB; arenas and scratch are in it, too. */
export const PAGE_CACHE_BYTES_MAX = 768 * 2 ** 20;

/** In the same memory, beside a page store. */
export const POOL_BYTES_MAX = 512 * 2 ** 20;
