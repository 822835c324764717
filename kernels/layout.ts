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
/** u32 each: zero bytes per page of a batch. */
export const ZERO_COUNTS_AT = 20480;
/** A byte each: whether a page of a batch holds only zeros. */
export const ZERO_FLAGS_AT = 21504;
/** WKdm's dictionary: 16 words, and a 17th that stands for zero. */
export const WKDM_DICTIONARY_AT = 21760;
/** WKdm: vectors that sort and mask the lanes of four words, by a mask of four bits; five tables of 256 bytes. */
export const WKDM_TABLES_AT = 22016;
/** WKdm's working copy of a body: 4352 bytes at most, and slack for whole vectors. */
export const WKDM_BODY_AT = 24576;
/** WKdm: a byte per dictionary index, 1024 and slack. */
export const WKDM_INDEXES_AT = 29184;
/** WKdm: a u16 per low part, 1024 and slack. */
export const WKDM_LOWS_AT = 30720;
/** WKdm: a u32 per word of the page: where in the dictionary it belongs. */
export const WKDM_SLOTS_AT = 32896;
/** WKdm: a u32 per word of the page: what the dictionary held there (encoder), what to keep of it (decoder). */
export const WKDM_KNOWN_AT = 36992;
/** The first 64 KiB are scratch; what lies above belongs to the caller's arenas. */
export const FREE_START = 65536;
