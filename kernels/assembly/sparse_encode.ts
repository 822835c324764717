// Sparse: (offset, value) of the words that are not zero, for pages of mostly zeros. After MECOM (Jin et al., CLUSTER
// 2009); the packing is ours. docs/encodings.md, "Sparse".
//
//   head  wwgggggg  w + 1 bytes of value (little-endian), g = zero words since the word before; 63: more in 7-bit groups
import { apart, PAGE, readable, writable } from "./ranges";

const WORDS_PER_BLOCK: u32 = 64;
export const GAP_MORE: u32 = 63;
/** Room that a head of one byte takes, with a value written as a whole word. */
const NEAR_ROOM: usize = 5;

// @ts-ignore: decorator
@inline
function zeroBits(at: usize): u32 {
  const zero = i8x16.splat(0);
  // Words to halves to bytes: equal lanes are all ones, which saturation keeps.
  const low = i16x8.narrow_i32x4_s(i32x4.eq(v128.load(at), zero), i32x4.eq(v128.load(at, 16), zero));
  const high = i16x8.narrow_i32x4_s(i32x4.eq(v128.load(at, 32), zero), i32x4.eq(v128.load(at, 48), zero));
  return i8x16.bitmask(i8x16.narrow_i16x8_s(low, high));
}

/** A bit per word of 64 words: set where it is not zero. */
// @ts-ignore: decorator
@inline
function setWords(at: usize): u64 {
  const low = zeroBits(at) | (zeroBits(at + 64) << 16);
  const high = zeroBits(at + 128) | (zeroBits(at + 192) << 16);
  return ~(<u64>low | (<u64>high << 32));
}

/** Writes one entry where it may not fit before `end`. Returns the place behind it, 0 when it does not. */
function writeEntry(at: usize, end: usize, gap: u32, width: u32, value: u32): usize {
  const more = gap < GAP_MORE ? 0 : gap - GAP_MORE < 128 ? 1 : 2;
  if (end - at < <usize>(1 + more + width)) return 0;
  store<u8>(at++, ((width - 1) << 6) | min<u32>(gap, GAP_MORE));
  if (more > 0) {
    const rest = gap - GAP_MORE;
    store<u8>(at++, more == 1 ? rest : (rest & 127) | 128);
    if (more == 2) store<u8>(at++, rest >> 7);
  }
  for (; width > 0; width--) {
    store<u8>(at++, value);
    value >>= 8;
  }
  return at;
}

/** Encodes a page. Returns the length, at least 2; 0 when it would be above `outMax`, beyond which nothing is written. */
export function sparseEncode(page: usize, out: usize, outMax: u32): u32 {
  readable(page, PAGE);
  writable(out, outMax);
  apart(out, outMax, page, PAGE);
  const end = out + outMax;
  let at = out;
  let next: u32 = 0;
  for (let block: u32 = 0; block < 1024; block += WORDS_PER_BLOCK) {
    let words = setWords(page + (block << 2));
    while (words != 0) {
      const place = block + <u32>ctz<u64>(words);
      words &= words - 1;
      const value = load<u32>(page + (place << 2));
      const gap = place - next;
      next = place + 1;
      const width: u32 = 4 - (clz<u32>(value) >> 3);
      if (gap < GAP_MORE && end - at >= NEAR_ROOM) {
        store<u8>(at, ((width - 1) << 6) | gap);
        store<u32>(at, value, 1);
        at += 1 + width;
      } else {
        at = writeEntry(at, end, gap, width, value);
        if (at == 0) return 0;
      }
    }
  }
  // A page of zeros: its first word, so that no body is empty.
  if (next == 0) at = writeEntry(at, end, 0, 1, 0);
  return at == 0 ? 0 : <u32>(at - out);
}
