/** Numbers from a seed: xorshift32 (Marsaglia, 2003). The same seed gives the same inputs on every machine. */
export class Random {
  #state: number;

  /** @param seed  any integer */
  constructor(seed: number) {
    this.#state = (Math.imul(seed | 0, 0x9e3779b1) ^ 0x2545f491) | 0 || 1;
  }

  /** u32 */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0..end-1; 0 when end is 0 */
  below(end: number): number {
    return end <= 1 ? 0 : this.next() % end;
  }

  /** Once in so many times. */
  oneIn(times: number): boolean {
    return this.next() % times === 0;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
}

/** FNV-1a: 32 bits of an input, to draw from what belongs to it. */
export function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  // Long inputs by samples: the hash is no more than a seed.
  const step = Math.max(1, Math.floor(bytes.length / 512));
  for (let i = 0; i < bytes.length; i += step) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return (hash ^ bytes.length) >>> 0;
}
