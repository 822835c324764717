// A copy of few bytes: cheaper than the call that memory.copy is.

/** Copies exactly `bytes` >= 1 bytes, neither reading nor writing one more; the ranges do not overlap. */
// @ts-ignore: decorator
@inline
export function copyBytes(to: usize, from: usize, bytes: usize): void {
  if (bytes >= 16) {
    const last = bytes - 16;
    for (let i: usize = 0; i < last; i += 16) v128.store(to + i, v128.load(from + i));
    v128.store(to + last, v128.load(from + last));
  } else if (bytes >= 8) {
    // Two halves that overlap cover any length between.
    store<u64>(to, load<u64>(from));
    store<u64>(to + bytes - 8, load<u64>(from + bytes - 8));
  } else if (bytes >= 4) {
    store<u32>(to, load<u32>(from));
    store<u32>(to + bytes - 4, load<u32>(from + bytes - 4));
  } else {
    store<u8>(to, load<u8>(from));
    store<u8>(to + (bytes >> 1), load<u8>(from + (bytes >> 1)));
    store<u8>(to + bytes - 1, load<u8>(from + bytes - 1));
  }
}
