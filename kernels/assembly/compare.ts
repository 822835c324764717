// Where two pages differ.
import { PAGE, readable } from "./ranges";

/** Whether 64 bytes differ anywhere. */
// @ts-ignore: decorator
@inline
export function differs64(a: usize, b: usize): bool {
  const d0 = v128.xor(v128.load(a), v128.load(b));
  const d1 = v128.xor(v128.load(a, 16), v128.load(b, 16));
  const d2 = v128.xor(v128.load(a, 32), v128.load(b, 32));
  const d3 = v128.xor(v128.load(a, 48), v128.load(b, 48));
  return v128.any_true(v128.or(v128.or(d0, d1), v128.or(d2, d3)));
}

// @ts-ignore: decorator
@inline
function equalBits(a: usize, b: usize): u64 {
  return <u64>(<u32>i8x16.bitmask(i8x16.eq(v128.load(a), v128.load(b))));
}

/** A bit per byte of 64, the first the lowest: set where they differ. */
// @ts-ignore: decorator
@inline
export function changedBits(a: usize, b: usize): u64 {
  return ~(
    equalBits(a, b) |
    (equalBits(a + 16, b + 16) << 16) |
    (equalBits(a + 32, b + 32) << 32) |
    (equalBits(a + 48, b + 48) << 48)
  );
}

/** Offset of the first byte that differs; 4096 when none does. */
export function comparePages(a: usize, b: usize): u32 {
  readable(a, PAGE);
  readable(b, PAGE);
  for (let at: usize = 0; at < PAGE; at += 64) {
    if (differs64(a + at, b + at)) return <u32>at + <u32>ctz<u64>(changedBits(a + at, b + at));
  }
  return <u32>PAGE;
}
