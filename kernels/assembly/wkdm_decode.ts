// WKdm, back: the tags say how long each stream is, so the whole body is judged before anything is written.
import { NO_RULE, WKDM_LENGTH, WKDM_PADDING } from "../ruleNumbers";
import { apart, PAGE, readable, writable } from "./ranges";
import {
  BODY,
  clearDictionary,
  DICTIONARY,
  INDEXES,
  KNOWN,
  LOW_MASK,
  LOWS,
  PLANE_BYTES,
  SLOTS,
  slotsOf,
  TAGS_BYTES,
  ZERO_SLOT,
} from "./wkdm_format";
import { unpackLows, unpackNibbles } from "./wkdm_pack";
import { entry, LANES, SPREAD } from "./wkdm_tables";

/** Whether bits from `bits` on, of a stream that starts at `at`, are set in its last byte. */
// @ts-ignore: decorator
@inline
function padded(at: usize, bits: u32): bool {
  return (bits & 7) != 0 && <u32>load<u8>(at + (bits >> 3)) >> (bits & 7) != 0;
}

/** Makes a page of a body. Returns 0, or the rule that the body breaks: then nothing was written. */
export function wkdmDecode(body: usize, bytes: u32, page: usize): u32 {
  readable(body, bytes);
  writable(page, PAGE);
  apart(body, bytes, page, PAGE);
  if (bytes < TAGS_BYTES) return WKDM_LENGTH;
  let exact: u32 = 0;
  let partial: u32 = 0;
  let miss: u32 = 0;
  for (let at = body; at < body + PLANE_BYTES; at += 8) {
    const first = load<u64>(at);
    const second = load<u64>(at, PLANE_BYTES);
    exact += <u32>popcnt<u64>(first & ~second);
    partial += <u32>popcnt<u64>(second & ~first);
    miss += <u32>popcnt<u64>(first & second);
  }
  const lowsFrom = TAGS_BYTES + (miss << 2);
  const indexesFrom = lowsFrom + ((partial * 10 + 7) >> 3);
  const indexes = exact + partial;
  if (bytes != indexesFrom + ((indexes + 1) >> 1)) return WKDM_LENGTH;
  if (padded(body + lowsFrom, partial * 10) || padded(body + indexesFrom, indexes << 2)) return WKDM_PADDING;
  // In the scratch vectors may reach beyond the end of a stream.
  memory.copy(BODY, body, bytes);
  unpackLows(BODY + lowsFrom, partial, LOWS);
  unpackNibbles(BODY + indexesFrom, indexes, INDEXES);
  spread(page);
  lookUp(page);
  return NO_RULE;
}

/** Per word: its place in the dictionary, the bits that it takes over from there, and, into the page, its own bits. */
function spread(page: usize): void {
  let missAt: usize = BODY + TAGS_BYTES;
  let indexAt: usize = INDEXES;
  let lowAt: usize = LOWS;
  for (let at: usize = 0; at < PAGE; at += 16) {
    // The tags of four words: the lower half of a byte of each plane, then the upper one.
    const shift = <u32>(at >> 2) & 4;
    const first = (<u32>load<u8>(BODY + (at >> 5)) >> shift) & 15;
    const second = (<u32>load<u8>(BODY + (at >> 5), PLANE_BYTES) >> shift) & 15;
    const miss = first & second;
    const partial = second & ~first;
    const known = first ^ second;
    const words = i8x16.swizzle(v128.load(missAt), entry(SPREAD, miss));
    missAt += popcnt<u32>(miss) << 2;
    const lows = i8x16.swizzle(v128.load_ext<u16>(lowAt), entry(SPREAD, partial));
    lowAt += popcnt<u32>(partial) << 1;
    const four = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load_zero<u32>(indexAt)));
    const indexes = i8x16.swizzle(four, entry(SPREAD, known));
    indexAt += popcnt<u32>(known);
    const hashed = v128.and(slotsOf(words), entry(LANES, miss));
    const zeros = v128.and(entry(LANES, 15 ^ (miss | known)), i32x4.splat(ZERO_SLOT));
    v128.store(SLOTS + at, v128.or(v128.or(i32x4.shl(indexes, 2), hashed), zeros));
    v128.store(KNOWN + at, v128.andnot(entry(LANES, known), v128.and(entry(LANES, partial), i32x4.splat(LOW_MASK))));
    v128.store(page + at, v128.or(words, lows));
  }
}

// @ts-ignore: decorator
@inline
function complete(page: usize, at: usize): void {
  const slot = load<u32>(at, SLOTS);
  const word = (load<u32>(slot, DICTIONARY) & load<u32>(at, KNOWN)) | load<u32>(page + at);
  store<u32>(slot, word, DICTIONARY);
  store<u32>(page + at, word);
}

/** What the dictionary adds to each word, one after the other. */
function lookUp(page: usize): void {
  clearDictionary();
  for (let at: usize = 0; at < PAGE; at += 16) {
    complete(page, at);
    complete(page, at + 4);
    complete(page, at + 8);
    complete(page, at + 12);
  }
}
