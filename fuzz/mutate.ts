/** Changes of bytes that know nothing of their meaning. */
import type { Random } from "./random.ts";

/** Values at bounds: of bytes, lengths, flags, pages, and what overflows in a careless reader. */
const NUMBERS = [
  0, 1, 2, 4, 7, 8, 0x0f, 0x10, 0x20, 0x40, 0x7e, 0x7f, 0x80, 0xff, 0x100, 0x1000, 0x1001,
] as const;
const LARGE = [0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff] as const;
const INPUT_BYTES_MAX = 256 * 1024;

type Change = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

const CHANGES: readonly Change[] = [
  flip,
  flip,
  number,
  number,
  (bytes, random) => splice(bytes, random.below(bytes.length), 1 + random.below(16), new Uint8Array(0)),
  (bytes, random) => {
    const from = random.below(bytes.length);
    const piece = bytes.subarray(from, from + 1 + random.below(64));
    return splice(bytes, random.below(bytes.length), 0, piece);
  },
  (bytes, random, other) => {
    const from = random.below(other.length);
    const piece = other.subarray(from, from + 1 + random.below(200));
    const at = random.below(bytes.length);
    return splice(bytes, at, random.oneIn(2) ? piece.length : 0, piece);
  },
  (bytes, random, other) =>
    Buffer.concat([
      bytes.subarray(0, random.below(bytes.length)),
      other.subarray(random.below(other.length)),
    ]),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  (bytes, random) => {
    const noise = Uint8Array.from({ length: 1 + random.below(12) }, () => random.next() & 0xff);
    return splice(bytes, random.below(bytes.length), random.below(12), noise);
  },
];

/** One to four changes. @param other  of the corpus, for what is spliced in */
export function mutated(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let out = bytes;
  for (let left = 1 + random.below(4); left > 0; left--) out = random.pick(CHANGES)(out, random, other);
  return out.subarray(0, INPUT_BYTES_MAX);
}

/** `bytes` with `count` bytes from `at` on replaced by `piece`. */
export function splice(bytes: Uint8Array, at: number, count: number, piece: Uint8Array): Uint8Array {
  const behind = Math.min(bytes.length, at + count);
  const out = new Uint8Array(at + piece.length + bytes.length - behind);
  out.set(bytes.subarray(0, at));
  out.set(piece, at);
  out.set(bytes.subarray(behind), at + piece.length);
  return out;
}

function flip(bytes: Uint8Array, random: Random): Uint8Array {
  const out = bytes.slice();
  if (out.length > 0) out[random.below(out.length)]! ^= 1 << random.below(8);
  return out;
}

/** A number of 1, 2, 4 or 8 bytes, big-endian, at one of the bounds. */
function number(bytes: Uint8Array, random: Random): Uint8Array {
  const out = bytes.slice();
  const size = random.pick([1, 2, 4, 8]);
  if (out.length < size) return out;
  const at = random.below(out.length - size + 1);
  const value = random.oneIn(2) ? random.pick(NUMBERS) : random.pick(LARGE);
  for (let i = 0; i < size; i++)
    out[at + size - 1 - i] = i < 4 ? (value >>> (8 * i)) & 0xff : random.pick([0, 0, 255]);
  return out;
}
