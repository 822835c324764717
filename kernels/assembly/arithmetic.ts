// 64-bit steps shared by the lengths of XXH3.

export const PRIME32_1: u64 = 0x9e3779b1;
export const PRIME32_2: u64 = 0x85ebca77;
export const PRIME32_3: u64 = 0xc2b2ae3d;
export const PRIME64_1: u64 = 0x9e3779b185ebca87;
export const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f;
export const PRIME64_3: u64 = 0x165667b19e3779f9;
export const PRIME64_4: u64 = 0x85ebca77c2b2ae63;
export const PRIME64_5: u64 = 0x27d4eb2f165667c5;
const PRIME_MX1: u64 = 0x165667919e3779f9;
const PRIME_MX2: u64 = 0x9fb21c651e98df25;

/** The 128-bit product of two 64-bit numbers, its halves xored. WASM has no wide multiplication: four narrow ones. */
// @ts-ignore: decorator
@inline
export function foldProduct(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const lowLow = aLow * bLow;
  const cross = (lowLow >> 32) + ((aHigh * bLow) & 0xffffffff) + aLow * bHigh;
  const high = ((aHigh * bLow) >> 32) + (cross >> 32) + aHigh * bHigh;
  return high ^ ((cross << 32) | (lowLow & 0xffffffff));
}

/** The closing step of XXH3. */
// @ts-ignore: decorator
@inline
export function avalanche(value: u64): u64 {
  value ^= value >> 37;
  value *= PRIME_MX1;
  return value ^ (value >> 32);
}

/** The closing step of the older XXH64, which XXH3 keeps for 0..3 bytes. */
// @ts-ignore: decorator
@inline
export function avalanche64(value: u64): u64 {
  value ^= value >> 33;
  value *= PRIME64_2;
  value ^= value >> 29;
  value *= PRIME64_3;
  return value ^ (value >> 32);
}

/** The closing step for 4..8 bytes. */
// @ts-ignore: decorator
@inline
export function avalancheShort(value: u64, length: u64): u64 {
  value ^= rotl(value, 49) ^ rotl(value, 24);
  value *= PRIME_MX2;
  value ^= (value >> 35) + length;
  value *= PRIME_MX2;
  return value ^ (value >> 28);
}
