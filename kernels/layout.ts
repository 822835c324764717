/**
 * Where things lie in the kernels' memory, in bytes. Read by both languages, hence without type annotations: the
 * AssemblyScript compiler takes these for i32, TypeScript for number. Everything from FREE_START on is the caller's.
 */

/** The compiler's own constants (the published secret of XXH3). */
export const CONSTANTS_AT = 1024;
/** Pages in one batch. */
export const PAGES_MAX = 256;
/** u32 each: the addresses of the pages of a batch. */
export const ADDRESSES_AT = 4096;
/** Pairs of u32 (low, high): the results of a batch. */
export const HASHES_AT = 8192;
/** The secret of XXH3 with the seed worked in, 192 bytes. */
export const SECRET_AT = 12288;
/** A page of zeros, never written. */
export const ZERO_PAGE_AT = 16384;
/** The first 64 KiB are scratch; what lies above belongs to the caller's arenas. */
export const FREE_START = 65536;
