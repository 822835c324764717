import type { Waiting } from "./types.ts";

/** Page numbers are int32 in every table. */
const PAGES_MAX = 2 ** 31 - 1;

/**
 * A set of pages: one bit each, and above these words levels of summaries, each with one bit per word of the level below
 * that is not empty, up to a single word. So the next page is found in as many steps as there are levels (at most 7), however
 * sparse the set; a scan over the bits of a guest of 1 TiB would take milliseconds, and post-copy asks for each page.
 *
 * Takes totalPages / 8 bytes and a 31st of it for the summaries. Nothing is allocated after construction.
 */
export class PageSet implements Waiting {
  readonly totalPages: number;
  #count = 0;
  /** `#levels[0]` has the pages, the last one a single word. */
  readonly #levels: readonly Int32Array[];

  /** @param totalPages  0..2^31 - 1, integer; RangeError otherwise */
  constructor(totalPages: number) {
    if (!(Number.isInteger(totalPages) && totalPages >= 0 && totalPages <= PAGES_MAX)) {
      throw new RangeError(`a set of ${totalPages} pages`);
    }
    this.totalPages = totalPages;
    const levels: Int32Array[] = [];
    let bits = totalPages;
    do {
      bits = Math.max(1, Math.ceil(bits / 32));
      levels.push(new Int32Array(bits));
    } while (bits > 1);
    this.#levels = levels;
  }

  /** Pages in the set. */
  get count(): number {
    return this.#count;
  }

  /** Whether the page is in the set; a number that is no page is not. */
  has(page: number): boolean {
    if (!(page >= 0 && page < this.totalPages)) return false;
    return (this.#levels[0]![page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  /** @returns false: it was in already. Throws RangeError for a number that is no page. */
  add(page: number): boolean {
    this.#check(page);
    const words = this.#levels[0]!;
    const word = words[page >>> 5]!;
    const bit = 1 << (page & 31);
    if ((word & bit) !== 0) return false;
    words[page >>> 5] = word | bit;
    if (word === 0) this.#filled(page >>> 5);
    this.#count++;
    return true;
  }

  /** @returns false: it was not in. Throws RangeError for a number that is no page. */
  delete(page: number): boolean {
    this.#check(page);
    const words = this.#levels[0]!;
    const left = words[page >>> 5]! & ~(1 << (page & 31));
    if (left === words[page >>> 5]) return false;
    words[page >>> 5] = left;
    if (left === 0) this.#emptied(page >>> 5);
    this.#count--;
    return true;
  }

  /**
   * Adds `count` pages from `first` on, by words.
   *
   * @returns how many of them were not in before. Throws RangeError when not all of them are pages.
   */
  addRange(first: number, count: number): number {
    const end = first + count;
    if (!(Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 0)) {
      throw new RangeError(`${count} pages from ${first} on`);
    }
    if (end > this.totalPages) throw new RangeError(`pages ${first} to ${end} of ${this.totalPages}`);
    const words = this.#levels[0]!;
    const before = this.#count;
    for (let page = first; page < end; ) {
      const index = page >>> 5;
      const bits = Math.min(32 - (page & 31), end - page);
      const mask = bits === 32 ? -1 : ((1 << bits) - 1) << (page & 31);
      const word = words[index]!;
      words[index] = word | mask;
      if (word === 0) this.#filled(index);
      this.#count += ones(mask & ~word);
      page += bits;
    }
    return this.#count - before;
  }

  /** The first page in the set at or after `page` (any number from 0 on); -1: none. */
  nextAt(page: number): number {
    if (page >= this.totalPages) return -1;
    const levels = this.#levels;
    let at = page;
    for (let level = 0; level < levels.length; level++) {
      const index = at >>> 5;
      // Bits from `at` on; shifts count modulo 32.
      const rest = index < levels[level]!.length ? levels[level]![index]! & (-1 << (at & 31)) : 0;
      if (rest !== 0) return this.#lowest(level, (index << 5) | trailingZeros(rest));
      at = index + 1;
    }
    return -1;
  }

  /** The last page in the set at or before `page` (any number below `totalPages`); -1: none. */
  previousAt(page: number): number {
    const levels = this.#levels;
    let at = page;
    for (let level = 0; level < levels.length && at >= 0; level++) {
      const index = at >>> 5;
      const rest = levels[level]![index]! & (-1 >>> (31 - (at & 31)));
      if (rest !== 0) return this.#highest(level, (index << 5) | (31 - Math.clz32(rest)));
      at = index - 1;
    }
    return -1;
  }

  /** Takes all pages out. */
  clear(): void {
    for (const words of this.#levels) words.fill(0);
    this.#count = 0;
  }

  /** The first page under bit `bit` of `level`. */
  #lowest(level: number, bit: number): number {
    let at = bit;
    for (let below = level - 1; below >= 0; below--) {
      at = (at << 5) | trailingZeros(this.#levels[below]![at]!);
    }
    return at;
  }

  /** The last page under bit `bit` of `level`. */
  #highest(level: number, bit: number): number {
    let at = bit;
    for (let below = level - 1; below >= 0; below--) {
      at = (at << 5) | (31 - Math.clz32(this.#levels[below]![at]!));
    }
    return at;
  }

  /** Word `index` of the pages holds one now. */
  #filled(index: number): void {
    let at = index;
    for (let level = 1; level < this.#levels.length; level++) {
      const words = this.#levels[level]!;
      const word = words[at >>> 5]!;
      words[at >>> 5] = word | (1 << (at & 31));
      if (word !== 0) return;
      at >>>= 5;
    }
  }

  /** Word `index` of the pages holds none any more. */
  #emptied(index: number): void {
    let at = index;
    for (let level = 1; level < this.#levels.length; level++) {
      const words = this.#levels[level]!;
      words[at >>> 5]! &= ~(1 << (at & 31));
      if (words[at >>> 5] !== 0) return;
      at >>>= 5;
    }
  }

  #check(page: number): void {
    if (!(page >= 0 && page < this.totalPages)) throw new RangeError(`no page ${page} of ${this.totalPages}`);
  }
}

/** Zeros below the lowest one; `word` is not 0. */
function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Ones in a word of 32 bits: sums of neighbours, of pairs, of fours (Warren, Hacker's Delight, section 5-1). */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
