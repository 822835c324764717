// Where two pages differ.
import { PAGE, readable } from "./ranges";

/** A bit per byte of 16, the first the lowest: set where they are equal. */
// @ts-ignore: decorator
@inline
function equalBits(a: usize, b: usize): u32 {
  return i8x16.bitmask(i8x16.eq(v128.load(a), v128.load(b)));
}

/** Offset of the first byte that differs; 4096 when none does. */
export function comparePages(a: usize, b: usize): u32 {
  readable(a, PAGE);
  readable(b, PAGE);
  for (let at: usize = 0; at < PAGE; at += 64) {
    const d0 = v128.xor(v128.load(a + at), v128.load(b + at));
    const d1 = v128.xor(v128.load(a + at, 16), v128.load(b + at, 16));
    const d2 = v128.xor(v128.load(a + at, 32), v128.load(b + at, 32));
    const d3 = v128.xor(v128.load(a + at, 48), v128.load(b + at, 48));
    if (v128.any_true(v128.or(v128.or(d0, d1), v128.or(d2, d3)))) return firstDifference(a, b, at);
  }
  return <u32>PAGE;
}

/** The same from `at` on, where there is one. */
function firstDifference(a: usize, b: usize, at: usize): u32 {
  let equal = equalBits(a + at, b + at);
  while (equal == 0xffff) {
    at += 16;
    equal = equalBits(a + at, b + at);
  }
  return <u32>at + <u32>ctz<u32>(~equal);
}
