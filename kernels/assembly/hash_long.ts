// XXH3 of more than 240 bytes; a page of 4096 bytes is four blocks of sixteen stripes.
//
// Each of the eight 64-bit accumulators adds, per stripe, the product of the low and the high half of its keyed word,
// and its neighbour's plain word. Additions commute, so between two scrambles the plain words are summed apart and
// swapped once per block instead of once per stripe.
//
// WASM has no "multiply the even lanes". `extmul` multiplies neighbouring lanes of two vectors, so two vectors are
// sorted into one of low halves and one of high halves (each one shufps) and multiplied by one extmul low, one high.
import {
  avalanche,
  foldProduct,
  PRIME32_1,
  PRIME32_2,
  PRIME32_3,
  PRIME64_1,
  PRIME64_2,
  PRIME64_3,
  PRIME64_4,
  PRIME64_5,
} from "./arithmetic";
import { SEEDED } from "./secret";

const STRIPE: usize = 64;
const BLOCK: usize = 1024;
/** Where the secret stands for the scramble, the last stripe and the closing merge. */
const SCRAMBLE_KEY: usize = SEEDED + 128;
const LAST_KEY: usize = SEEDED + 121;
const MERGE_KEY: usize = SEEDED + 11;

// @ts-ignore: decorator
@inline
function lowHalves(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 0, 2, 4, 6);
}

// @ts-ignore: decorator
@inline
function highHalves(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 1, 3, 5, 7);
}

// @ts-ignore: decorator
@inline
function swapped(a: v128): v128 {
  return v128.shuffle<u64>(a, a, 1, 0);
}

// @ts-ignore: decorator
@inline
function scrambled(sum: v128, keyAt: usize): v128 {
  sum = v128.xor(v128.xor(sum, i64x2.shr_u(sum, 47)), v128.load(keyAt));
  return i64x2.mul(sum, i64x2.splat(PRIME32_1));
}

/** A quarter of the last stripe, which overlaps the one before it. */
// @ts-ignore: decorator
@inline
function lastStripe(sum: v128, at: usize, keyAt: usize): v128 {
  const data = v128.load(at);
  const key = v128.xor(data, v128.load(keyAt));
  const product = i64x2.extmul_low_i32x4_u(lowHalves(key, key), highHalves(key, key));
  return i64x2.add(i64x2.add(sum, swapped(data)), product);
}

// @ts-ignore: decorator
@inline
function merge(sum: v128, keyAt: usize): u64 {
  return foldProduct(
    i64x2.extract_lane(sum, 0) ^ load<u64>(keyAt),
    i64x2.extract_lane(sum, 1) ^ load<u64>(keyAt, 8),
  );
}

/** More than 240 bytes, with the secret that `deriveSecret` left. */
export function hashLong(at: usize, length: usize): u64 {
  let a0 = i64x2(PRIME32_3, PRIME64_1);
  let a1 = i64x2(PRIME64_2, PRIME64_3);
  let a2 = i64x2(PRIME64_4, PRIME32_2);
  let a3 = i64x2(PRIME64_5, PRIME32_1);
  const end = at + length;
  // The last stripe is never part of a block, not even when the length is a multiple of the block's.
  let left = (length - 1) / STRIPE;
  for (;;) {
    const stripes = min<usize>(left, BLOCK / STRIPE);
    let p0 = i64x2.splat(0);
    let p1 = i64x2.splat(0);
    let p2 = i64x2.splat(0);
    let p3 = i64x2.splat(0);
    const keyEnd: usize = SEEDED + stripes * 8;
    for (let key: usize = SEEDED; key < keyEnd; key += 8) {
      const d0 = v128.load(at);
      const d1 = v128.load(at, 16);
      const d2 = v128.load(at, 32);
      const d3 = v128.load(at, 48);
      const k0 = v128.xor(d0, v128.load(key));
      const k1 = v128.xor(d1, v128.load(key, 16));
      const k2 = v128.xor(d2, v128.load(key, 32));
      const k3 = v128.xor(d3, v128.load(key, 48));
      const l0 = lowHalves(k0, k1);
      const h0 = highHalves(k0, k1);
      const l1 = lowHalves(k2, k3);
      const h1 = highHalves(k2, k3);
      a0 = i64x2.add(a0, i64x2.extmul_low_i32x4_u(l0, h0));
      a1 = i64x2.add(a1, i64x2.extmul_high_i32x4_u(l0, h0));
      a2 = i64x2.add(a2, i64x2.extmul_low_i32x4_u(l1, h1));
      a3 = i64x2.add(a3, i64x2.extmul_high_i32x4_u(l1, h1));
      p0 = i64x2.add(p0, d0);
      p1 = i64x2.add(p1, d1);
      p2 = i64x2.add(p2, d2);
      p3 = i64x2.add(p3, d3);
      at += STRIPE;
    }
    a0 = i64x2.add(a0, swapped(p0));
    a1 = i64x2.add(a1, swapped(p1));
    a2 = i64x2.add(a2, swapped(p2));
    a3 = i64x2.add(a3, swapped(p3));
    if (stripes < BLOCK / STRIPE) break;
    a0 = scrambled(a0, SCRAMBLE_KEY);
    a1 = scrambled(a1, SCRAMBLE_KEY + 16);
    a2 = scrambled(a2, SCRAMBLE_KEY + 32);
    a3 = scrambled(a3, SCRAMBLE_KEY + 48);
    left -= stripes;
  }
  at = end - STRIPE;
  a0 = lastStripe(a0, at, LAST_KEY);
  a1 = lastStripe(a1, at + 16, LAST_KEY + 16);
  a2 = lastStripe(a2, at + 32, LAST_KEY + 32);
  a3 = lastStripe(a3, at + 48, LAST_KEY + 48);
  return avalanche(
    (<u64>length) * PRIME64_1 +
      merge(a0, MERGE_KEY) +
      merge(a1, MERGE_KEY + 16) +
      merge(a2, MERGE_KEY + 32) +
      merge(a3, MERGE_KEY + 48),
  );
}
