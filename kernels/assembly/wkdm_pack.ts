// WKdm's two narrow streams, packed and unpacked, several at a time.

/** `count` bytes of 0..15 become nibbles, the first in the low half. Reads up to 15 bytes beyond, which are to be 0. */
export function packNibbles(from: usize, count: u32, to: usize): void {
  for (let i: u32 = 0; i < count; i += 16) {
    const pairs = v128.load(from + i);
    const joined = v128.and(v128.or(pairs, i16x8.shr_u(pairs, 4)), i16x8.splat(255));
    v128.store64_lane(to + (i >> 1), i8x16.narrow_i16x8_u(joined, joined), 0);
  }
}

/** The way back. Reads up to 7 bytes beyond, writes up to 15. */
export function unpackNibbles(from: usize, count: u32, to: usize): void {
  for (let i: u32 = 0; i < count; i += 16) {
    const wide = v128.load_ext<u8>(from + (i >> 1));
    v128.store(to + i, v128.and(v128.or(wide, i16x8.shl(wide, 4)), i16x8.splat(0x0f0f)));
  }
}

/** `count` u16 of 10 bits become a string of bits, lowest first, 5 bytes for 4. Reads up to 3 beyond, to be 0; writes 7. */
export function packLows(from: usize, count: u32, to: usize): void {
  for (let i: u32 = 0; i < count; i += 4) {
    const four = load<u64>(from + (i << 1));
    store<u64>(
      to,
      (four & 1023) | ((four >> 6) & (1023 << 10)) | ((four >> 12) & (1023 << 20)) | ((four >> 18) & (<u64>1023 << 30)),
    );
    to += 5;
  }
}

/** The way back. Reads up to 7 bytes beyond, writes up to 3 u16. */
export function unpackLows(from: usize, count: u32, to: usize): void {
  for (let i: u32 = 0; i < count; i += 4) {
    const bits = load<u64>(from);
    store<u64>(
      to + (i << 1),
      (bits & 1023) | ((bits & (1023 << 10)) << 6) | ((bits & (1023 << 20)) << 12) | ((bits & (<u64>1023 << 30)) << 18),
    );
    from += 5;
  }
}
