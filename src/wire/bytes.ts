/** Big-endian integers in a byte array. u64 are held as numbers, so they are bounded by 2^53 - 1. */

export function getU16(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!;
}

export function getU32(b: Uint8Array, at: number): number {
  return b[at]! * 0x1000000 + ((b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!);
}

/** The value, or undefined when it does not fit a safe integer. */
export function getU64(b: Uint8Array, at: number): number | undefined {
  const high = getU32(b, at);
  return high >= 0x200000 ? undefined : high * 0x100000000 + getU32(b, at + 4);
}

export function putU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

export function putU32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** @param value integer, 0..2^53-1 (the caller asserts) */
export function putU64(b: Uint8Array, at: number, value: number): void {
  putU32(b, at, Math.floor(value / 0x100000000));
  putU32(b, at + 4, value % 0x100000000);
}
