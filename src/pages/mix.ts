/**
 * A keyed permutation of 64-bit values held as two u32 halves: a four-round Feistel network. For one pair of keys,
 * different values stay different; for different keys the images have nothing to do with each other.
 * Not cryptographic: it spreads hashes that are spread already, and binds them to their place.
 */

/** Writes the image of (low, high) under the keys to out[0], out[1]. Allocates nothing. */
export function mix(out: Uint32Array, low: number, high: number, keyA: number, keyB: number): void {
  let l = low;
  let h = high;
  h ^= scatter(l + Math.imul(keyA, 0x9e3779b1) + 0x243f6a88);
  l ^= scatter(h + Math.imul(keyB, 0x85ebca77) + 0x13198a2e);
  h ^= scatter(l + Math.imul(keyB, 0xc2b2ae3d) + 0x03707344);
  l ^= scatter(h + Math.imul(keyA, 0x27d4eb2f) + 0x299f31d0);
  out[0] = l;
  out[1] = h;
}

/** Every bit of the argument (taken modulo 2^32) moves about half of the result's. */
function scatter(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}
