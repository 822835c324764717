/** Reads a body byte by byte; `undefined` at its end. */
export class BodyReader {
  readonly #body: Uint8Array;
  #at = 0;
  constructor(body: Uint8Array) {
    this.#body = body;
  }
  get left(): number {
    return this.#body.length - this.#at;
  }
  byte(): number | undefined {
    return this.#body[this.#at++];
  }
  bytes(count: number): Uint8Array | undefined {
    if (count > this.left) return undefined;
    this.#at += count;
    return this.#body.subarray(this.#at - count, this.#at);
  }
  /** One or two groups of 7 bits, the lower first; the second one has 8. */
  groups(): number | undefined {
    const low = this.byte();
    if (low === undefined || low < 128) return low;
    const high = this.byte();
    return high === undefined ? undefined : (low & 127) + 128 * high;
  }
}

/** The same, written: 0..16383. */
export function groupsOf(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, value >> 7];
}
