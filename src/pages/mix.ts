/**
 * A keyed permutation of 64-bit values held as two halves: a four-round Feistel network. For one pair of keys,
 * different values stay different; for different keys the images have nothing to do with each other.
 * Not cryptographic: it spreads hashes that are spread already, and binds them to their place.
 */

/** Whether the image is added to the sum or taken away again. */
export const Part = { add: 0, subtract: -1 } as const;
export type Part = (typeof Part)[keyof typeof Part];

/**
 * Adds the image of (low, high) under the keys to a sum modulo 2^64, or subtracts it. All numbers are int32: V8 would
 * box every other u32 where it crosses a call. Allocates nothing.
 * @param sum  low and high half, changed in place
 */
export function addMixed(
  sum: Int32Array,
  low: number,
  high: number,
  keyA: number,
  keyB: number,
  part: Part,
): void {
  let l = low;
  let h = high;
  h ^= scatter((l + Math.imul(keyA, 0x9e3779b1) + 0x243f6a88) | 0);
  l ^= scatter((h + Math.imul(keyB, 0x85ebca77) + 0x13198a2e) | 0);
  h ^= scatter((l + Math.imul(keyB, 0xc2b2ae3d) + 0x03707344) | 0);
  l ^= scatter((h + Math.imul(keyA, 0x27d4eb2f) + 0x299f31d0) | 0);
  // -x is ~x + 1, so that one addition does both. The carry by logic: a branch on random bits is mispredicted every
  // other time, which costs more than all the rest.
  l ^= part;
  h ^= part;
  const old = sum[0]!;
  const next = (old + l - part) | 0;
  sum[0] = next;
  sum[1] = (sum[1]! + h + (((old & l) | ((old | l) & ~next)) >>> 31)) | 0;
}

/** One round's function of an int32: the multiplication carries bits up, the shifts carry them down. */
function scatter(value: number): number {
  const x = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  return x ^ (x >>> 16);
}
