// How much of a page is zero.
import { ADDRESSES_AT, PAGES_MAX, ZERO_COUNTS_AT, ZERO_FLAGS_AT } from "../layout";
import { PAGE, readable } from "./ranges";

const ADDRESSES: usize = ADDRESSES_AT;
const COUNTS: usize = ZERO_COUNTS_AT;
const FLAGS: usize = ZERO_FLAGS_AT;

// @ts-ignore: decorator
@inline
function pageOf(i: u32): usize {
  const at = <usize>load<u32>(ADDRESSES + (<usize>i << 2));
  readable(at, PAGE);
  return at;
}

/** 128 bytes, or-ed together. */
// @ts-ignore: decorator
@inline
function anySet(at: usize): bool {
  const a = v128.or(v128.load(at), v128.load(at, 16));
  const b = v128.or(v128.load(at, 32), v128.load(at, 48));
  const c = v128.or(v128.load(at, 64), v128.load(at, 80));
  const d = v128.or(v128.load(at, 96), v128.load(at, 112));
  return v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)));
}

function isZero(at: usize): bool {
  // Most pages that are not zero show it at once.
  if (load<u64>(at) != 0) return false;
  for (const end = at + PAGE; at < end; at += 128) if (anySet(at)) return false;
  return true;
}

/** A flag per page: 1 when it holds only zeros. Stops at the first byte that is not. */
export function zeroPages(count: u32): void {
  if (count > <u32>PAGES_MAX) unreachable();
  for (let i: u32 = 0; i < count; i++) store<u8>(FLAGS + i, isZero(pageOf(i)) ? 1 : 0);
}

// @ts-ignore: decorator
@inline
function zeros(sum: v128, at: usize): v128 {
  // A lane that is equal to zero becomes 255, which is -1.
  return i8x16.sub(sum, i8x16.eq(v128.load(at), i8x16.splat(0)));
}

// @ts-ignore: decorator
@inline
function pairs(sum: v128): v128 {
  return i16x8.extadd_pairwise_i8x16_u(sum);
}

function zeroBytes(at: usize): u32 {
  // Four sums of bytes: each lane counts to 64 at most, one sum alone could pass 255.
  let a = i8x16.splat(0);
  let b = i8x16.splat(0);
  let c = i8x16.splat(0);
  let d = i8x16.splat(0);
  for (const end = at + PAGE; at < end; at += 64) {
    a = zeros(a, at);
    b = zeros(b, at + 16);
    c = zeros(c, at + 32);
    d = zeros(d, at + 48);
  }
  const sums = i32x4.extadd_pairwise_i16x8_u(i16x8.add(i16x8.add(pairs(a), pairs(b)), i16x8.add(pairs(c), pairs(d))));
  return (
    i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3)
  );
}

/** The number of zero bytes of each page, 0..4096. */
export function countZeroBytes(count: u32): void {
  if (count > <u32>PAGES_MAX) unreachable();
  for (let i: u32 = 0; i < count; i++) store<u32>(COUNTS + (<usize>i << 2), zeroBytes(pageOf(i)));
}
