import { PAGE_BYTES } from "../../kernels/types.ts";
import type { RamBlock } from "../stream/mod.ts";

/** Page numbers of the page engine are int32 in its tables. */
const PAGES_MAX = 2 ** 31 - 1;

/**
 * One number for each page of the guest: they count through all blocks in the order of announcement. So a page is one
 * number on the link and one index in a table.
 */
export class PageNumbers {
  /** Of all blocks. */
  readonly total: number;
  readonly #blocks: readonly RamBlock[];
  /** Number of each block's first page, and behind the last block the total. */
  readonly #firsts: Int32Array;
  /** Index of the block that was looked up last: pages come in runs. */
  #last = 0;

  /** @param blocks  each one's `index` is its place. Throws RangeError when they have 2^31 pages or more. */
  constructor(blocks: readonly RamBlock[]) {
    this.#blocks = blocks;
    this.#firsts = new Int32Array(blocks.length + 1);
    let total = 0;
    for (const [place, block] of blocks.entries()) {
      if (block.index !== place) throw new Error(`block ${block.index} stands at ${place}`);
      total += Math.ceil(block.bytes / PAGE_BYTES);
      if (total > PAGES_MAX) throw new RangeError(`${total} pages in ${place + 1} blocks`);
      this.#firsts[place + 1] = total;
    }
    this.total = total;
  }

  /** @param offset  bytes in the block, a multiple of 4096 within it (the stream reader has checked it) */
  number(block: RamBlock, offset: number): number {
    // By division: a shift would cut offsets of 4 GiB and more.
    return this.#firsts[block.index]! + offset / PAGE_BYTES;
  }

  /** The block that a page lies in. Throws RangeError for a number that is no page: whoever asks for a peer checks `total`. */
  blockOf(page: number): RamBlock {
    return this.#blocks[this.#find(page)]!;
  }

  /** Bytes from the start of the page's block. */
  offsetOf(page: number): number {
    return (page - this.#firsts[this.#find(page)]!) * PAGE_BYTES;
  }

  #find(page: number): number {
    const firsts = this.#firsts;
    const last = this.#last;
    if (page >= firsts[last]! && page < firsts[last + 1]!) return last;
    if (!(page >= 0 && page < this.total)) throw new RangeError(`no page ${page} of ${this.total}`);
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (page < firsts[middle + 1]!) high = middle;
      else low = middle + 1;
    }
    this.#last = low;
    return low;
  }
}
