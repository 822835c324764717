import { SPARSE_EMPTY, SPARSE_TRUNCATED, SPARSE_WORD_OUTSIDE_PAGE } from "../ruleNumbers.ts";
import { BodyReader, groupsOf } from "./reader.ts";

const WORDS = 1024;

/** The bytes of a word without the zeros at its high end; at least one. */
function valueBytes(word: Uint8Array): Uint8Array {
  return word.subarray(0, Math.max(1, word.findLastIndex((byte) => byte !== 0) + 1));
}

/** The body, or undefined when it is longer than `outMax`. */
export function sparseEncodeTwin(page: Uint8Array, outMax: number): Uint8Array | undefined {
  const words = Array.from({ length: WORDS }, (_, i) => page.subarray(4 * i, 4 * i + 4));
  const set = words.flatMap((word, i) => (word.some((byte) => byte !== 0) ? [i] : []));
  const body: number[] = [];
  let next = 0;
  for (const place of set.length > 0 ? set : [0]) {
    const value = valueBytes(words[place]!);
    const gap = place - next;
    body.push(((value.length - 1) << 6) | Math.min(gap, 63));
    if (gap >= 63) body.push(...groupsOf(gap - 63));
    body.push(...value);
    next = place + 1;
  }
  return body.length > outMax ? undefined : Uint8Array.from(body);
}

/** The page, or the number of the rule that the body breaks. */
export function sparseDecodeTwin(body: Uint8Array): Uint8Array | number {
  if (body.length === 0) return SPARSE_EMPTY;
  const page = new Uint8Array(4 * WORDS);
  const reader = new BodyReader(body);
  let place = 0;
  while (reader.left > 0) {
    const head = reader.byte()!;
    place += head & 63;
    if ((head & 63) === 63) {
      const more = reader.groups();
      if (more === undefined) return SPARSE_TRUNCATED;
      place += more;
    }
    if (place >= WORDS) return SPARSE_WORD_OUTSIDE_PAGE;
    const value = reader.bytes((head >> 6) + 1);
    if (value === undefined) return SPARSE_TRUNCATED;
    page.set(value, 4 * place);
    place++;
  }
  return page;
}
