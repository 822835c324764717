import { WKDM_LENGTH, WKDM_PADDING } from "../ruleNumbers.ts";

const WORDS = 1024;
const LOW_MASK = 1023;
const ZERO = 0;
const EXACT = 1;
const PARTIAL = 2;
const MISS = 3;

const slotOf = (word: number): number => Math.imul(word >>> 10, 0x9e3779b1) >>> 28;

/** Numbers of `width` bits as bytes, each number and each byte from its lowest bit on, filled up with zeros. */
function pack(values: readonly number[], width: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((values.length * width) / 8));
  for (const [i, value] of values.entries()) {
    for (let bit = 0; bit < width; bit++) {
      const at = i * width + bit;
      bytes[at >> 3]! |= ((value >>> bit) & 1) << (at & 7);
    }
  }
  return bytes;
}

/** The way back; undefined when a bit behind the last number is set. */
function unpack(bytes: Uint8Array, count: number, width: number): number[] | undefined {
  const bitAt = (at: number): number => (bytes[at >> 3]! >> (at & 7)) & 1;
  for (let at = count * width; at < 8 * bytes.length; at++) if (bitAt(at) === 1) return undefined;
  return Array.from({ length: count }, (_, i) => {
    let value = 0;
    for (let bit = width - 1; bit >= 0; bit--) value = value * 2 + bitAt(i * width + bit);
    return value;
  });
}

/** The body, or undefined when it is longer than `outMax`. */
export function wkdmEncodeTwin(page: Uint8Array, outMax: number): Uint8Array | undefined {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const dictionary = new Uint32Array(16);
  const [tags, misses, lows, indexes]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let i = 0; i < WORDS; i++) {
    const word = view.getUint32(4 * i, true);
    const slot = slotOf(word);
    const known = dictionary[slot]!;
    if (word === 0) {
      tags.push(ZERO);
      continue;
    }
    if (word === known) {
      tags.push(EXACT);
      indexes.push(slot);
    } else if (word >>> 10 === known >>> 10) {
      tags.push(PARTIAL);
      indexes.push(slot);
      lows.push(word & LOW_MASK);
    } else {
      tags.push(MISS);
      misses.push(word);
    }
    dictionary[slot] = word;
  }
  const body = Uint8Array.from([
    ...pack(
      tags.map((tag) => tag & 1),
      1,
    ),
    ...pack(
      tags.map((tag) => tag >> 1),
      1,
    ),
    ...pack(misses, 32),
    ...pack(lows, 10),
    ...pack(indexes, 4),
  ]);
  return body.length > outMax ? undefined : body;
}

/** The page, or the number of the rule that the body breaks. */
export function wkdmDecodeTwin(body: Uint8Array): Uint8Array | number {
  if (body.length < WORDS / 4) return WKDM_LENGTH;
  const first = unpack(body.subarray(0, WORDS / 8), WORDS, 1)!;
  const second = unpack(body.subarray(WORDS / 8, WORDS / 4), WORDS, 1)!;
  const tags = first.map((bit, i) => bit + 2 * second[i]!);
  const count = (tag: number): number => tags.filter((one) => one === tag).length;
  const lowsAt = WORDS / 4 + 4 * count(MISS);
  const indexesAt = lowsAt + Math.ceil((10 * count(PARTIAL)) / 8);
  if (body.length !== indexesAt + Math.ceil((count(EXACT) + count(PARTIAL)) / 2)) return WKDM_LENGTH;
  const misses = unpack(body.subarray(WORDS / 4, lowsAt), count(MISS), 32)!;
  const lows = unpack(body.subarray(lowsAt, indexesAt), count(PARTIAL), 10);
  const indexes = unpack(body.subarray(indexesAt), count(EXACT) + count(PARTIAL), 4);
  if (lows === undefined || indexes === undefined) return WKDM_PADDING;
  const page = new Uint8Array(4 * WORDS);
  const view = new DataView(page.buffer);
  const dictionary = new Uint32Array(16);
  for (const [i, tag] of tags.entries()) {
    if (tag === ZERO) continue;
    const word = tag === MISS ? misses.shift()! : 0;
    const slot = tag === MISS ? slotOf(word) : indexes.shift()!;
    if (tag === MISS) dictionary[slot] = word;
    if (tag === PARTIAL) dictionary[slot] = ((dictionary[slot]! & ~LOW_MASK) | lows.shift()!) >>> 0;
    view.setUint32(4 * i, dictionary[slot]!, true);
  }
  return page;
}
