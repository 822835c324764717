import type { PageNumbers } from "../../pages/mod.ts";
import { PageSet } from "../../paging/mod.ts";
import type { RamBlock } from "../../stream/mod.ts";

const PAGE_BYTES = 4096;

/** What a target QEMU lacks, from its own word: one bitmap per block, a bit per page, 1: it is there (RECV_BITMAP). */
export class Bitmaps {
  readonly missing: PageSet;
  readonly #numbers: PageNumbers;
  readonly #awaited: Map<string, RamBlock>;

  constructor(blocks: readonly RamBlock[], numbers: PageNumbers) {
    this.missing = new PageSet(numbers.total);
    this.#numbers = numbers;
    this.#awaited = new Map(blocks.map((block) => [block.name, block]));
  }

  /** Every block's bitmap has come. */
  get complete(): boolean {
    return this.#awaited.size === 0;
  }

  /**
   * @param bits  as the return path's reader has checked: of an announced block, and as long as it needs
   * @returns false when this block's had come already
   */
  take(name: string, bits: Uint8Array): boolean {
    const block = this.#awaited.get(name);
    if (block === undefined || !this.#awaited.delete(name)) return false;
    const first = this.#numbers.number(block, 0);
    const pages = Math.ceil(block.bytes / PAGE_BYTES);
    for (let page = 0; page < pages; page++)
      if ((bits[page >>> 3]! & (1 << (page & 7))) === 0) this.missing.add(first + page);
    return true;
  }
}
