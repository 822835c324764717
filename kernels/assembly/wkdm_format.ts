// WKdm: Wilson, Kaplan and Smaragdakis, "The Case for Compressed Caching in Virtual Memory Systems", USENIX 1999. Each
// word is zero, or equal to a word of a small dictionary, or like one in its 22 high bits, or new. The packing and the
// hash are ours. docs/encodings.md, "WKdm".
//
//   tags: 128 bytes of first bits, 128 of second bits | new words (4 bytes) | low parts (10 bits) | indexes (4 bits)
//   tag: first bit set = exact or new, second bit set = partial or new; zero has none
import { WKDM_BODY_AT, WKDM_DICTIONARY_AT, WKDM_INDEXES_AT, WKDM_KNOWN_AT, WKDM_LOWS_AT, WKDM_SLOTS_AT } from "../layout";

/** Bytes of one half of the tags: a bit per word. */
export const PLANE_BYTES: u32 = 128;
export const TAGS_BYTES: u32 = 256;
export const LOW_BITS: u32 = 10;
export const LOW_MASK: u32 = 1023;

/** 17 words; the last one stands for zero, so that zeros need no branch. */
export const DICTIONARY: usize = WKDM_DICTIONARY_AT;
const DICTIONARY_BYTES: usize = 68;
/** Where zero stands, in bytes. */
export const ZERO_SLOT: u32 = 64;
/** The body while it is made or taken apart: the caller's memory is touched once, by a copy. */
export const BODY: usize = WKDM_BODY_AT;
/** Indexes and low parts before packing, one per u8 and u16. */
export const INDEXES: usize = WKDM_INDEXES_AT;
export const LOWS: usize = WKDM_LOWS_AT;
/** A u32 per word of the page: its place in the dictionary, in bytes. */
export const SLOTS: usize = WKDM_SLOTS_AT;
/** A u32 per word: what the dictionary held at that place, or which bits of it the word takes over. */
export const KNOWN: usize = WKDM_KNOWN_AT;

/** Where four words belong in the dictionary, in bytes: four bits of their 22 high bits times 2^32 / golden ratio. */
// @ts-ignore: decorator
@inline
export function slotsOf(words: v128): v128 {
  const product = i32x4.mul(i32x4.shr_u(words, LOW_BITS), i32x4.splat(0x9e3779b1));
  return i32x4.shl(i32x4.shr_u(product, 28), 2);
}

export function clearDictionary(): void {
  memory.fill(DICTIONARY, 0, DICTIONARY_BYTES);
}
