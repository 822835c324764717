import type { RamBlock } from "../stream/mod.ts";
import { mix } from "./mix.ts";

/** A 64-bit value as two u32 halves. */
export interface Hash64 {
  readonly lo: number;
  readonly hi: number;
}

/** What a digest says of all pages: equal totals mean equal contents but for a chance of 2^-64. */
export interface DigestTotal extends Hash64 {
  /** Distinct pages that contribute. */
  readonly pages: number;
  /** Versions seen, replaced ones included. Not compared: a side may leave out versions that were replaced in time. */
  readonly versions: number;
}

const PAGE_SHIFT = 12;

/**
 * What one end of the link knows of the guest's memory: the hash of the newest version of each page, and their
 * order-free sum. Two ends that saw the same newest versions have the same total, whatever came in between.
 * The total is the sum modulo 2^64 of mix(block, page, hash): a new version subtracts the old one's part.
 * A page that was never seen contributes nothing.
 *
 * Memory: 8 bytes per page of guest RAM (1/512 of it: 2 MiB for 1 GiB), which the system hands out only as pages are
 * touched. Nothing is allocated per update.
 */
export class PageDigest {
  /** Per block: low and high half of each page's hash. (0, 0) means never seen, so a hash of 0 is kept as (1, 0). */
  readonly #blocks: { readonly lo: Uint32Array; readonly hi: Uint32Array }[] = [];
  /** Low and high half of the sum; typed, so that large values are not boxed. */
  readonly #sum = new Uint32Array(2);
  readonly #mixed = new Uint32Array(2);
  readonly #zero: Hash64;
  #pages = 0;
  #versions = 0;

  /** @param zero  what a page of zeros hashes to (`zeroPageHash`); the same at both ends. */
  constructor(zero: Hash64) {
    this.#zero = zero;
  }

  /**
   * Allocates the tables. Once, before the first update; the caller has checked the sizes against its limits.
   * A block's `index` must be its place in the list.
   */
  setBlocks(blocks: readonly RamBlock[]): void {
    if (this.#blocks.length > 0) throw new Error("the blocks of a digest are set once");
    for (const [place, block] of blocks.entries()) {
      if (block.index !== place) throw new Error(`block ${block.index} stands at ${place}`);
      const pages = Math.ceil(block.bytes / 2 ** PAGE_SHIFT);
      this.#blocks.push({ lo: new Uint32Array(pages), hi: new Uint32Array(pages) });
    }
  }

  /** A new version of a page, by the hash of its 4096 bytes. A place outside the blocks is a bug and throws. */
  update(blockIndex: number, pageIndex: number, lo: number, hi: number): void {
    const block = this.#blocks[blockIndex];
    if (block === undefined || !(pageIndex < block.lo.length)) {
      throw new RangeError(`no page ${pageIndex} in block ${blockIndex}`);
    }
    const oldLo = block.lo[pageIndex]!;
    const oldHi = block.hi[pageIndex]!;
    if ((oldLo | oldHi) === 0) this.#pages++;
    else this.#subtract(blockIndex, pageIndex, oldLo, oldHi);
    const newLo = (lo | hi) === 0 ? 1 : lo;
    block.lo[pageIndex] = newLo;
    block.hi[pageIndex] = hi;
    this.#add(blockIndex, pageIndex, newLo, hi);
    this.#versions++;
  }

  /** A new version that is all zeros, however it was carried. */
  updateZero(blockIndex: number, pageIndex: number): void {
    this.update(blockIndex, pageIndex, this.#zero.lo, this.#zero.hi);
  }

  /**
   * A new version whose content is not at hand (a delta, compressed): by the hash of its encoded body, chained with
   * the page's hash so far. Both ends agree only if they saw the same history of this page since its last plain version.
   */
  updateEncoded(blockIndex: number, pageIndex: number, lo: number, hi: number): void {
    const block = this.#blocks[blockIndex];
    mix(this.#mixed, lo, hi, block?.lo[pageIndex] ?? 0, block?.hi[pageIndex] ?? 0);
    this.update(blockIndex, pageIndex, this.#mixed[0]!, this.#mixed[1]!);
  }

  total(): DigestTotal {
    return { lo: this.#sum[0]!, hi: this.#sum[1]!, pages: this.#pages, versions: this.#versions };
  }

  #add(blockIndex: number, pageIndex: number, lo: number, hi: number): void {
    mix(this.#mixed, lo, hi, pageIndex, blockIndex);
    const low = this.#sum[0]! + this.#mixed[0]!;
    this.#sum[0] = low;
    this.#sum[1] = this.#sum[1]! + this.#mixed[1]! + (low > 0xffffffff ? 1 : 0);
  }

  #subtract(blockIndex: number, pageIndex: number, lo: number, hi: number): void {
    mix(this.#mixed, lo, hi, pageIndex, blockIndex);
    const low = this.#sum[0]! - this.#mixed[0]!;
    this.#sum[0] = low;
    this.#sum[1] = this.#sum[1]! - this.#mixed[1]! - (low < 0 ? 1 : 0);
  }
}

/** Whether two ends hold the same memory: sum and number of distinct pages. */
export function sameTotal(a: Omit<DigestTotal, "versions">, b: Omit<DigestTotal, "versions">): boolean {
  return a.lo === b.lo && a.hi === b.hi && a.pages === b.pages;
}

/** Sixteen hexadecimal digits, for errors and reports. */
export function totalText(total: Hash64): string {
  const half = (value: number): string => value.toString(16).padStart(8, "0");
  return half(total.hi) + half(total.lo);
}
