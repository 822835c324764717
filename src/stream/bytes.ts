/** Big-endian numbers and latin1 names in byte buffers, and a cursor for what is not on the hot path. */

export function be16(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!;
}

export function be32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

/** Above 2^53 the low bits are lost, but the value stays above 2^53: every bound that we check rejects it. */
export function be64(b: Uint8Array, at: number): number {
  return be32(b, at) * 2 ** 32 + be32(b, at + 4);
}

export function put16(b: Uint8Array, at: number, value: number): number {
  b[at] = value >>> 8;
  b[at + 1] = value;
  return at + 2;
}

export function put32(b: Uint8Array, at: number, value: number): number {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
  return at + 4;
}

export function put64(b: Uint8Array, at: number, value: number): number {
  put32(b, at, Math.floor(value / 2 ** 32));
  return put32(b, at + 4, value % 2 ** 32);
}

/** A copy that is safe to keep. (`slice` of a Node Buffer is none: it shares the memory.) */
export function copyOf(b: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(b.subarray(start, end));
}

/** Short strings only (names): the bytes are spread as arguments. */
export function latin1(b: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...b.subarray(start, end));
}

/** @throws a plain Error when the name has no latin1 form of 1..255 bytes: a bug of the caller. */
export function latin1Bytes(name: string): Uint8Array {
  invariant(name.length >= 1 && name.length <= 255, "a name has 1..255 bytes");
  const out = new Uint8Array(name.length);
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    invariant(code <= 255, "a name is latin1");
    out[i] = code;
  }
  return out;
}

/** Our own bugs, never a peer's bytes. */
export function invariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`bug: ${what}`);
}

/**
 * Reads forward through `buffer[at..end)`. Reading past the end sets `short` and gives zeros, so a parser reads all it
 * wants and asks once whether the bytes were there.
 */
export class Cursor {
  readonly buffer: Uint8Array;
  readonly end: number;
  at: number;
  short = false;

  constructor(buffer: Uint8Array, at: number, end: number) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  /** Start of the next `bytes` bytes, which are then behind the cursor; -1 when they are not there. */
  take(bytes: number): number {
    if (this.short || this.end - this.at < bytes) {
      this.short = true;
      return -1;
    }
    this.at += bytes;
    return this.at - bytes;
  }

  u8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : this.buffer[at]!;
  }

  u32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : be32(this.buffer, at);
  }

  u64(): number {
    const at = this.take(8);
    return at < 0 ? 0 : be64(this.buffer, at);
  }

  text(bytes: number): string {
    const at = this.take(bytes);
    return at < 0 ? "" : latin1(this.buffer, at, at + bytes);
  }

  /** u8 length and that many bytes. An empty name is given as "". */
  name(): string {
    return this.text(this.u8());
  }

  /** The next byte without reading it; -1 and `short` when there is none. */
  peek(): number {
    if (this.short || this.at >= this.end) {
      this.short = true;
      return -1;
    }
    return this.buffer[this.at]!;
  }
}
