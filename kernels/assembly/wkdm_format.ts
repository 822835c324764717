// WKdm: Wilson, Kaplan and Smaragdakis, "The Case for Compressed Caching in Virtual Memory Systems", USENIX 1999. Each
// word is zero, or equal to a word of a small dictionary, or like one in its 22 high bits, or new. The packing and the
// hash are ours. docs/encodings.md, "WKdm".
//
//   256 bytes of tags (2 bits each) | new words (4 bytes) | low parts (10 bits) | dictionary indexes (4 bits)
import { WKDM_BODY_AT, WKDM_DICTIONARY_AT, WKDM_INDEXES_AT, WKDM_LOWS_AT } from "../layout";

export const WORDS: u32 = 1024;
export const TAGS_BYTES: u32 = 256;
export const LOW_BITS: u32 = 10;
export const LOW_MASK: u32 = 1023;

export const TAG_EXACT: u32 = 1;
export const TAG_PARTIAL: u32 = 2;
export const TAG_MISS: u32 = 3;

/** 17 words; the last one stands for zero, so that zeros need no branch. */
export const DICTIONARY: usize = WKDM_DICTIONARY_AT;
export const ZERO_SLOT: u32 = 16;
/** The body while it is made or taken apart: the caller's memory is touched once, by a copy. */
export const BODY: usize = WKDM_BODY_AT;
/** Indexes and low parts before packing, one per u8 and u16. */
export const INDEXES: usize = WKDM_INDEXES_AT;
export const LOWS: usize = WKDM_LOWS_AT;

/** The place of a word in the dictionary: the high bits of its 22 high bits times 2^32 / golden ratio. */
// @ts-ignore: decorator
@inline
export function slotOf(word: u32): u32 {
  return ((word >> LOW_BITS) * 0x9e3779b1) >> 28;
}

export function clearDictionary(): void {
  memory.fill(DICTIONARY, 0, 68);
}
