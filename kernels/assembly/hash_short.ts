// XXH3 of 0..240 bytes. These lengths take the seed itself and the published secret.
import { avalanche, avalanche64, avalancheShort, foldProduct, PRIME64_1 } from "./arithmetic";
import { PUBLISHED } from "./secret";

// @ts-ignore: decorator
@inline
function key(at: usize): u64 {
  return load<u64>(PUBLISHED + at);
}

// @ts-ignore: decorator
@inline
function mix16(at: usize, keyAt: usize, seed: u64): u64 {
  return foldProduct(load<u64>(at) ^ (key(keyAt) + seed), load<u64>(at, 8) ^ (key(keyAt + 8) - seed));
}

/** 0..240 bytes. */
export function hashShort(at: usize, length: usize, seed: u64): u64 {
  if (length > 128) return upTo240(at, length, seed);
  if (length > 16) return upTo128(at, length, seed);
  if (length > 8) return upTo16(at, length, seed);
  if (length > 3) return upTo8(at, length, seed);
  if (length > 0) return upTo3(at, length, seed);
  return avalanche64(seed ^ key(56) ^ key(64));
}

function upTo3(at: usize, length: usize, seed: u64): u64 {
  const first: u32 = load<u8>(at);
  const middle: u32 = load<u8>(at + (length >> 1));
  const last: u32 = load<u8>(at + length - 1);
  const joined: u32 = (first << 16) | (middle << 24) | last | ((<u32>length) << 8);
  const flip: u32 = load<u32>(PUBLISHED) ^ load<u32>(PUBLISHED, 4);
  return avalanche64(<u64>joined ^ (<u64>flip + seed));
}

function upTo8(at: usize, length: usize, seed: u64): u64 {
  seed ^= (<u64>bswap<u32>(<u32>seed)) << 32;
  const first: u64 = load<u32>(at);
  const last: u64 = load<u32>(at + length - 4);
  const flip = (key(8) ^ key(16)) - seed;
  return avalancheShort((last + (first << 32)) ^ flip, length);
}

function upTo16(at: usize, length: usize, seed: u64): u64 {
  const low = load<u64>(at) ^ ((key(24) ^ key(32)) + seed);
  const high = load<u64>(at + length - 8) ^ ((key(40) ^ key(48)) - seed);
  return avalanche(<u64>length + bswap<u64>(low) + high + foldProduct(low, high));
}

function upTo128(at: usize, length: usize, seed: u64): u64 {
  let sum: u64 = (<u64>length) * PRIME64_1;
  const end = at + length;
  for (let pair = <i32>((length - 1) >> 5); pair >= 0; pair--) {
    const step = (<usize>pair) << 4;
    sum += mix16(at + step, step << 1, seed);
    sum += mix16(end - 16 - step, (step << 1) + 16, seed);
  }
  return avalanche(sum);
}

function upTo240(at: usize, length: usize, seed: u64): u64 {
  let sum: u64 = (<u64>length) * PRIME64_1;
  for (let i: usize = 0; i < 128; i += 16) sum += mix16(at + i, i, seed);
  sum = avalanche(sum);
  const whole = length & ~(<usize>15);
  for (let i: usize = 128; i < whole; i += 16) sum += mix16(at + i, i - 128 + 3, seed);
  return avalanche(sum + mix16(at + length - 16, 136 - 17, seed));
}
