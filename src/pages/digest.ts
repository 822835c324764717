import { PAGE_BYTES } from "../../kernels/types.ts";
import type { RamBlock } from "../stream/mod.ts";
import { addMixed, Part } from "./mix.ts";

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

/** What crosses the link to be compared. */
export type ComparedTotal = Omit<DigestTotal, "versions">;

/** 2 TiB: page numbers times two stay int32. */
const BLOCK_BYTES_MAX = 2 ** 41;

/**
 * What one end of the link knows of the guest's memory: the hash of the newest version of each page, and their
 * order-free sum. Two ends that saw the same newest versions have the same total, whatever came in between.
 * The total is the sum modulo 2^64 of mix(block, page, hash): a new version subtracts the old one's part.
 * A page that was never seen contributes nothing.
 *
 * Memory: 8 bytes per page of guest RAM (1/512 of it: 2 MiB for 1 GiB), which the system hands out only as pages are
 * touched. Nothing is allocated for a plain or zero version.
 */
export class PageDigest {
  /**
   * Per block, each page's hash as a pair (low, high): side by side, so that a page costs one cache miss and not two.
   * (0, 0) means never seen; a hash of 0 is kept as (1, 0).
   */
  readonly #blocks: Int32Array[] = [];
  /** Low and high half of the sum. All halves are int32 inside: V8 would box every other u32. */
  readonly #sum = new Int32Array(2);
  readonly #zero: Hash64;
  #pages = 0;
  #versions = 0;
  /** The hash that the last update replaced, as int32; both 0: the page had never been seen. */
  oldLo = 0;
  oldHi = 0;

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
      if (!(block.bytes <= BLOCK_BYTES_MAX)) throw new RangeError(`block ${place} of ${block.bytes} bytes`);
      this.#blocks.push(new Int32Array(2 * Math.ceil(block.bytes / PAGE_BYTES)));
    }
  }

  /** A new version of a page, by the hash of its 4096 bytes (halves as u32 or int32). A place outside the blocks is a bug and throws. */
  update(blockIndex: number, pageIndex: number, lo: number, hi: number): void {
    const hashes = this.#blocks[blockIndex];
    const at = pageIndex << 1;
    const oldLo = hashes?.[at];
    if (hashes === undefined || oldLo === undefined) {
      throw new RangeError(`no page ${pageIndex} in block ${blockIndex}`);
    }
    const oldHi = hashes[at + 1]!;
    this.oldLo = oldLo;
    this.oldHi = oldHi;
    if ((oldLo | oldHi) === 0) this.#pages++;
    else addMixed(this.#sum, oldLo, oldHi, pageIndex, blockIndex, Part.subtract);
    const newLo = (lo | hi) === 0 ? 1 : lo | 0;
    const newHi = hi | 0;
    hashes[at] = newLo;
    hashes[at + 1] = newHi;
    addMixed(this.#sum, newLo, newHi, pageIndex, blockIndex, Part.add);
    this.#versions++;
  }

  /**
   * Takes the newest version of a page back, as if it had never been told.
   * @param lo  what `oldLo` was after its update, and `hi` what `oldHi` was; both 0: the page was never seen before
   */
  restore(blockIndex: number, pageIndex: number, lo: number, hi: number): void {
    this.update(blockIndex, pageIndex, lo, hi);
    this.#versions -= 2;
    if ((lo | hi) !== 0) return;
    const hashes = this.#blocks[blockIndex]!;
    const at = pageIndex << 1;
    addMixed(this.#sum, hashes[at]!, hashes[at + 1]!, pageIndex, blockIndex, Part.subtract);
    hashes[at] = 0;
    hashes[at + 1] = 0;
    this.#pages--;
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
    const hashes = this.#blocks[blockIndex];
    const at = pageIndex << 1;
    const oldLo = hashes?.[at] ?? 0;
    const oldHi = hashes?.[at + 1] ?? 0;
    const chained = new Int32Array(2);
    addMixed(chained, lo | 0, hi | 0, oldLo, oldHi, Part.add);
    this.update(blockIndex, pageIndex, chained[0]!, chained[1]!);
  }

  total(): DigestTotal {
    return { lo: this.#sum[0]! >>> 0, hi: this.#sum[1]! >>> 0, pages: this.#pages, versions: this.#versions };
  }
}

/** Whether two ends hold the same memory: sum and number of distinct pages. */
export function sameTotal(a: ComparedTotal, b: ComparedTotal): boolean {
  return a.lo === b.lo && a.hi === b.hi && a.pages === b.pages;
}

/** Sixteen hexadecimal digits, for errors and reports. */
export function totalText(total: Hash64): string {
  const half = (value: number): string => value.toString(16).padStart(8, "0");
  return half(total.hi) + half(total.lo);
}
