import { PAGE_BYTES, type PageKernels } from "../../../kernels/mod.ts";
import type { PageNumbers } from "../../pages/mod.ts";
import { PageSet } from "../../paging/mod.ts";
import { encodeDiscard, type RamBlock } from "../../stream/mod.ts";
import { PagePool } from "./pool.ts";

/** At most: what is gathered and not switched over after all has to cross while the guest stands still. */
const PAGES_MAX = 2048;
/** And so much of a small pool: the rest is for what the source gives then. */
const POOL_SHARE = 0.5;
/** Of one command. QEMU itself sends 12. */
const RANGES_MAX = 12;

/**
 * Pages that wait for post-copy although QEMU takes them as sent: since it was ordered, all that comes (it would stand on the
 * line before the package, and the guest stands still meanwhile), and what a policy held back. The target is told to throw
 * its versions of them away, so that they count as missing there. docs/adr/0007.
 */
export class Gathered {
  readonly pool: PagePool;
  /** With content, and zeros. */
  readonly pages: PageSet;
  readonly zeros: PageSet;
  readonly #pagesMax: number;

  /** @param region  of the pool that the pager goes on with */
  constructor(
    kernels: Pick<PageKernels, "bytes">,
    region: { readonly start: number; readonly bytes: number },
    totalPages: number,
  ) {
    this.pool = new PagePool(kernels, region, totalPages);
    this.pages = new PageSet(totalPages);
    this.zeros = new PageSet(totalPages);
    this.#pagesMax = Math.min(PAGES_MAX, Math.floor(this.pool.room * POOL_SHARE));
  }

  get count(): number {
    return this.pages.count + this.zeros.count;
  }

  /** How many more it takes. */
  get room(): number {
    return this.#pagesMax - this.count;
  }

  /** Keeps this version, and no older one. @param address  of its bytes in the kernels' memory; 0: zeros */
  take(page: number, address: number): void {
    this.drop(page);
    if (address === 0) return void this.zeros.add(page);
    this.pages.add(page);
    this.pool.put(page, address);
  }

  /** A newer version comes in another way. */
  drop(page: number): void {
    if (this.pages.delete(page)) this.pool.forget(page);
    this.zeros.delete(page);
  }

  /** All of them, each block's from the lowest on. */
  *all(): Generator<number> {
    for (const set of [this.pages, this.zeros])
      for (let page = set.nextAt(0); page >= 0; page = set.nextAt(page + 1)) yield page;
  }

  /** The commands by which the target throws its versions away. */
  *discards(blocks: readonly RamBlock[], numbers: PageNumbers): Generator<Uint8Array> {
    for (const block of blocks) {
      const first = numbers.number(block, 0);
      const ranges = [...this.#ranges(first, first + Math.ceil(block.bytes / PAGE_BYTES))];
      for (let i = 0; i < ranges.length; i += RANGES_MAX)
        yield encodeDiscard(
          block.name,
          ranges
            .slice(i, i + RANGES_MAX)
            .map(([from, to]) => ({ offset: (from - first) * PAGE_BYTES, bytes: (to - from) * PAGE_BYTES })),
        );
    }
  }

  /** Pages from..to that are here, and lie in first..end. */
  *#ranges(first: number, end: number): Generator<readonly [number, number]> {
    const here = (page: number): boolean => this.pages.has(page) || this.zeros.has(page);
    const next = (page: number): number => {
      const found = [this.pages.nextAt(page), this.zeros.nextAt(page)].filter((at) => at >= 0);
      return found.length === 0 ? end : Math.min(...found);
    };
    for (let from = next(first); from < end; ) {
      let to = from + 1;
      while (to < end && here(to)) to++;
      yield [from, to];
      from = to < end ? next(to) : end;
    }
  }
}
