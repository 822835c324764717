import type { ContentIndex } from "./types.ts";

const ENTRIES_MAX = 2 ** 20;
/** Of one entry: low half, high half, page + 1 (0: empty). */
const WORDS = 3;

export interface IndexOptions {
  /** How many bits of the hash are compared, from the lowest: 0..64. Fewer than 64 only to force collisions in a test. */
  readonly bits?: number;
}

/**
 * A table of fixed size from hash to page. Each hash has two places next to each other; what is noted takes the first and
 * pushes what was there into the second, so the older of two forgotten ones is lost. Nothing is ever taken out: a page
 * that has other content by now is found all the same, which the caller notices when it verifies.
 *
 * Twice as many places as the store has slots, at most 2^20: 12 bytes each, 12 MiB at most.
 */
export class HashedIndex implements ContentIndex {
  readonly #entries: Int32Array;
  readonly #bucketMask: number;
  readonly #loMask: number;
  readonly #hiMask: number;

  /** @param slots  of the store whose pages are to be found */
  constructor(slots: number, options: IndexOptions = {}) {
    let entries = 2;
    while (entries < 2 * slots && entries < ENTRIES_MAX) entries *= 2;
    this.#entries = new Int32Array(entries * WORDS);
    this.#bucketMask = entries / 2 - 1;
    const bits = options.bits ?? 64;
    this.#loMask = lowBits(bits);
    this.#hiMask = lowBits(bits - 32);
  }

  find(lo: number, hi: number): number {
    const first = this.#bucket(lo);
    if (this.#holds(first, lo, hi)) return this.#entries[first + 2]! - 1;
    const second = first + WORDS;
    return this.#holds(second, lo, hi) ? this.#entries[second + 2]! - 1 : -1;
  }

  note(page: number, lo: number, hi: number): void {
    const entries = this.#entries;
    const first = this.#bucket(lo);
    if (!this.#holds(first, lo, hi)) {
      const second = first + WORDS;
      entries[second] = entries[first]!;
      entries[second + 1] = entries[first + 1]!;
      entries[second + 2] = entries[first + 2]!;
    }
    entries[first] = lo;
    entries[first + 1] = hi;
    entries[first + 2] = page + 1;
  }

  #bucket(lo: number): number {
    return (lo & this.#loMask & this.#bucketMask) * 2 * WORDS;
  }

  /** Whether the entry has this hash. An empty one is found by a hash of 0 too, and says -1. */
  #holds(at: number, lo: number, hi: number): boolean {
    const entries = this.#entries;
    return (((entries[at]! ^ lo) & this.#loMask) | ((entries[at + 1]! ^ hi) & this.#hiMask)) === 0;
  }
}

/** A mask of the `count` lowest of 32 bits; all for more, none for fewer than 1. */
function lowBits(count: number): number {
  if (count >= 32) return -1;
  return count <= 0 ? 0 : (1 << count) - 1;
}
