// WKdm of a page. No branch depends on a word, since on real pages the processor would guess such branches wrong all the
// time. Only the dictionary needs one word after the other; all the rest is done for four words at once.
import { apart, PAGE, readable, writable } from "./ranges";
import {
  BODY,
  clearDictionary,
  DICTIONARY,
  INDEXES,
  KNOWN,
  LOW_BITS,
  LOW_MASK,
  LOWS,
  PLANE_BYTES,
  SLOTS,
  slotsOf,
  TAGS_BYTES,
  ZERO_SLOT,
} from "./wkdm_format";
import { packLows, packNibbles } from "./wkdm_pack";
import { entry, GATHER_BYTES, GATHER_HALVES, GATHER_WORDS } from "./wkdm_tables";

/** Bytes of the page after which it is asked whether the body can still be short enough. */
const STRETCH: usize = 1024;

/** Ends of the streams so far. */
let missAt: usize = 0;
let indexAt: usize = 0;
let lowAt: usize = 0;

/** The place of each word of a stretch in the dictionary. */
// @ts-ignore: decorator
@inline
function findSlots(page: usize, from: usize): void {
  for (let at = from; at < from + STRETCH; at += 16) {
    const words = v128.load(page + at);
    // The hash of zero is 0.
    const zeros = i32x4.eq(words, i32x4.splat(0));
    v128.store(SLOTS + at, v128.or(slotsOf(words), v128.and(zeros, i32x4.splat(ZERO_SLOT))));
  }
}

// @ts-ignore: decorator
@inline
function exchange(page: usize, at: usize): void {
  const slot = load<u32>(at, SLOTS);
  const known = load<u32>(slot, DICTIONARY);
  store<u32>(slot, load<u32>(page + at), DICTIONARY);
  store<u32>(at, known, KNOWN);
}

/** Puts each word of a stretch into the dictionary and notes what it replaced. */
// @ts-ignore: decorator
@inline
function findKnown(page: usize, from: usize): void {
  for (let at = from; at < from + STRETCH; at += 16) {
    exchange(page, at);
    exchange(page, at + 4);
    exchange(page, at + 8);
    exchange(page, at + 12);
  }
}

/** Appends to the streams what four words need and returns their tags: first bits in 0..3, second bits in 8..11. */
// @ts-ignore: decorator
@inline
function append(page: usize, at: usize): u32 {
  const words = v128.load(page + at);
  const slots = v128.load(SLOTS + at);
  const changes = v128.xor(words, v128.load(KNOWN + at));
  const zero = i32x4.splat(0);
  // Zero finds itself at its own place: it is the same, alike and zero.
  const zeros = <u32>i32x4.bitmask(i32x4.eq(words, zero));
  const same = <u32>i32x4.bitmask(i32x4.eq(changes, zero));
  const alike = <u32>i32x4.bitmask(i32x4.eq(i32x4.shr_u(changes, LOW_BITS), zero));
  const miss = alike ^ 15;
  const partial = alike ^ same;
  const known = alike ^ zeros;
  v128.store(missAt, i8x16.swizzle(words, entry(GATHER_WORDS, miss)));
  missAt += popcnt<u32>(miss) << 2;
  const lows = v128.and(words, i32x4.splat(LOW_MASK));
  v128.store64_lane(lowAt, i8x16.swizzle(lows, entry(GATHER_HALVES, partial)), 0);
  lowAt += popcnt<u32>(partial) << 1;
  const indexes = i32x4.shr_u(slots, 2);
  v128.store32_lane(indexAt, i8x16.swizzle(indexes, entry(GATHER_BYTES, known)), 0);
  indexAt += popcnt<u32>(known);
  return (same ^ zeros) | miss | ((partial | miss) << 8);
}

/** Encodes a page. Returns the length, 256..4352; 0 when it would be above `outMax`, beyond which nothing is written. */
export function wkdmEncode(page: usize, out: usize, outMax: u32): u32 {
  readable(page, PAGE);
  writable(out, outMax);
  apart(out, outMax, page, PAGE);
  clearDictionary();
  missAt = BODY + TAGS_BYTES;
  indexAt = INDEXES;
  lowAt = LOWS;
  for (let from: usize = 0; from < PAGE; from += STRETCH) {
    findSlots(page, from);
    findKnown(page, from);
    for (let at = from; at < from + STRETCH; at += 32) {
      const tags = append(page, at) | (append(page, at + 16) << 4);
      store<u8>(BODY + (at >> 5), tags);
      store<u8>(BODY + (at >> 5), tags >> 8, PLANE_BYTES);
    }
    if (missAt > BODY + outMax) return 0;
  }
  // What lies behind was written and does not count.
  v128.store(indexAt, i8x16.splat(0));
  store<u64>(lowAt, 0);
  const indexes = <u32>(indexAt - INDEXES);
  const lows = <u32>(lowAt - LOWS) >> 1;
  const lowsBytes = (lows * 10 + 7) >> 3;
  const indexesBytes = (indexes + 1) >> 1;
  const bytes = <u32>(missAt - BODY) + lowsBytes + indexesBytes;
  if (bytes > outMax) return 0;
  packLows(LOWS, lows, missAt);
  packNibbles(INDEXES, indexes, missAt + lowsBytes);
  memory.copy(out, BODY, bytes);
  return bytes;
}
