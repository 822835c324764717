// WKdm of a page. No branch depends on a word: every stream is written at each word and moves on only when it counts,
// since on real pages the processor would guess such branches wrong all the time.
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
  TAGS_BYTES,
  ZERO_SLOT,
} from "./wkdm_format";
import { packLows, packNibbles } from "./wkdm_pack";

/** Encodes a page. Returns the length, 256..4352; 0 when it would be above `outMax`, beyond which nothing is written. */
export function wkdmEncode(page: usize, out: usize, outMax: u32): u32 {
  readable(page, PAGE);
  writable(out, outMax);
  apart(out, outMax, page, PAGE);
  clearDictionary();
  let missAt: usize = BODY + TAGS_BYTES;
  let indexAt: usize = INDEXES;
  let lowAt: usize = LOWS;
  const bodyEnd = BODY + outMax;
  for (let tagsAt: usize = BODY; tagsAt < BODY + TAGS_BYTES; tagsAt += 4) {
    let tags: u32 = 0;
    for (let shift: u32 = 0; shift < 32; shift += 2) {
      const word = load<u32>(page);
      page += 4;
      const isZero = <u32>(word == 0);
      const slot = select<u32>(ZERO_SLOT, slotOf(word), isZero);
      const place = DICTIONARY + (slot << 2);
      const known = load<u32>(place);
      store<u32>(place, word);
      const same = <u32>(known == word);
      const alike = <u32>((known ^ word) <= LOW_MASK);
      // Zero finds itself in its own slot: same, alike and zero make 0.
      tags |= (TAG_MISS - isZero - same - alike) << shift;
      store<u8>(indexAt, slot);
      indexAt += alike ^ isZero;
      store<u16>(lowAt, word & LOW_MASK);
      lowAt += (alike ^ same) << 1;
      store<u32>(missAt, word);
      missAt += (alike ^ 1) << 2;
    }
    store<u32>(tagsAt, tags);
    if (missAt > bodyEnd) return 0;
  }
  // What lies behind was written and did not count.
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
