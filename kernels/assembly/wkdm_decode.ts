// WKdm, back: the tags say how long each stream is, so the whole body is judged before anything is written.
import { NO_RULE, WKDM_LENGTH, WKDM_PADDING } from "../ruleNumbers";
import { apart, PAGE, readable, writable } from "./ranges";
import {
  BODY,
  clearDictionary,
  DICTIONARY,
  INDEXES,
  LOW_MASK,
  LOWS,
  slotOf,
  TAG_MISS,
  TAG_PARTIAL,
  TAGS_BYTES,
  ZERO_SLOT,
} from "./wkdm_format";
import { unpackLows, unpackNibbles } from "./wkdm_pack";

/** The first bit of each tag. */
const FIRST: u64 = 0x5555555555555555;

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
  for (let at = body; at < body + TAGS_BYTES; at += 8) {
    const tags = load<u64>(at);
    const low = tags & FIRST;
    const high = (tags >> 1) & FIRST;
    exact += <u32>popcnt<u64>(low & ~high);
    partial += <u32>popcnt<u64>(high & ~low);
    miss += <u32>popcnt<u64>(low & high);
  }
  const lowsFrom = TAGS_BYTES + (miss << 2);
  const indexesFrom = lowsFrom + ((partial * 10 + 7) >> 3);
  const indexes = exact + partial;
  if (bytes != indexesFrom + ((indexes + 1) >> 1)) return WKDM_LENGTH;
  if (padded(body + lowsFrom, partial * 10) || padded(body + indexesFrom, indexes << 2)) return WKDM_PADDING;
  // In the scratch vectors may reach beyond the end.
  memory.copy(BODY, body, bytes);
  unpackLows(BODY + lowsFrom, partial, LOWS);
  unpackNibbles(BODY + indexesFrom, indexes, INDEXES);
  writeWords(page);
  return NO_RULE;
}

/** As in the encoder, every stream is read at each word and moves on only when it counts. */
function writeWords(page: usize): void {
  clearDictionary();
  let missAt: usize = BODY + TAGS_BYTES;
  let indexAt: usize = INDEXES;
  let lowAt: usize = LOWS;
  for (let tagsAt: usize = BODY; tagsAt < BODY + TAGS_BYTES; tagsAt += 4) {
    let tags = load<u32>(tagsAt);
    for (let i: u32 = 0; i < 16; i++) {
      const tag = tags & 3;
      tags >>= 2;
      const isMiss = <u32>(tag == TAG_MISS);
      const isPartial = <u32>(tag == TAG_PARTIAL);
      const isKnown = (tag ^ (tag >> 1)) & 1;
      // Beyond the end of its stream an index is whatever lay there: the mask keeps it within the dictionary.
      let slot: u32 = load<u8>(indexAt) & 15;
      const missed = load<u32>(missAt);
      slot = select<u32>(slot, select<u32>(slotOf(missed), ZERO_SLOT, isMiss), isKnown);
      const known = load<u32>(DICTIONARY + (slot << 2));
      let word = select<u32>((known & ~LOW_MASK) | <u32>load<u16>(lowAt), known, isPartial);
      word = select<u32>(missed, word, isMiss);
      store<u32>(DICTIONARY + (slot << 2), word);
      store<u32>(page, word);
      page += 4;
      indexAt += isKnown;
      lowAt += isPartial << 1;
      missAt += isMiss << 2;
    }
  }
}
