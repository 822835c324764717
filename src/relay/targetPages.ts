import assert from "node:assert";
import type { PageKernels } from "../../kernels/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import {
  type DecodedPages,
  PageDecoder,
  PageNumbers,
  type PagesBody,
  PagesFault,
  SlottedStore,
  type StoreRegion,
} from "../pages/mod.ts";
import { PageKind, type RamBlock } from "../stream/mod.ts";
import { AGAIN_PAGES_MAX } from "../wire/mod.ts";

/** What the target does with pages that came in forms of their own. */
export interface TargetPagesContext {
  readonly kernels: PageKernels;
  /** As both sides agreed. */
  readonly store: StoreRegion;
  /** Test hook: whether to act as if a base were lacking. */
  readonly loseBase?: (() => boolean) | undefined;
}

/** The target's half of the page engine: versions that QEMU has been given, and pages that are still to be asked for. */
export class TargetPages {
  /** CPU time of decoding and hashing, ms. */
  decodeMs = 0;
  readonly #numbers: PageNumbers;
  readonly #store: SlottedStore;
  readonly #decoder: PageDecoder;
  /** Missing pages that the source was asked for; one that was asked for comes with all that was sent since. */
  readonly #asked = new Set<number>();
  #toAsk: number[] = [];

  constructor(
    blocks: readonly RamBlock[],
    pages: Pick<DecodedPages, "page" | "zero">,
    context: TargetPagesContext,
  ) {
    const { kernels, store, loseBase } = context;
    this.#numbers = new PageNumbers(blocks);
    this.#store = new SlottedStore(kernels, store, this.#numbers.total);
    this.#decoder = new PageDecoder(
      kernels,
      this.#store,
      this.#numbers,
      {
        page: (block, offset, address) => pages.page(block, offset, address),
        zero: (block, offset) => pages.zero(block, offset),
        missing: (page) => this.#miss(page),
      },
      loseBase === undefined ? {} : { loseBase },
    );
  }

  /** Whether QEMU lacks a version that the source believes it has. */
  get lacking(): boolean {
    return this.#decoder.missingPages.size > 0;
  }

  /** The guest is switched over: what the store has stays as it is. */
  freeze(): void {
    this.#decoder.freeze();
  }

  /** The block of the last record that `decode` wrote. */
  get lastBlock(): RamBlock | undefined {
    return this.#decoder.lastBlock;
  }

  /**
   * The entries of one frame as QEMU's records.
   * @param outAt  room for PAGES_OUTPUT_BYTES_MAX bytes in the kernels' memory
   * @param lastBlock  of the last record that QEMU was given
   * @returns the end of the records
   * @throws GodwitError LINK_FRAME: nothing that was written may be used
   */
  decode(body: PagesBody, outAt: number, outMax: number, lastBlock: RamBlock | undefined): number {
    try {
      return this.#decoder.decode(body, outAt, outMax, lastBlock);
    } catch (cause) {
      if (!(cause instanceof PagesFault)) throw cause;
      throw new GodwitError("LINK_FRAME", { rule: cause.rule }, { cause });
    }
  }

  /** A page that came as QEMU's record: no copy of it is kept on either side. */
  passed(block: RamBlock, offset: number, kind: PageKind): void {
    const page = this.#numbers.number(block, offset);
    if (kind === PageKind.zero) this.#store.zero(page);
    else this.#store.forget(page);
    // QEMU's own delta leans on a version that must have come before it.
    if (kind !== PageKind.xbzrle) this.#decoder.arrived(page);
  }

  /** Pages that are missing since the last call, after each frame: the source is to be asked for them. */
  takeMissing(): number[] {
    if (this.#asked.size === 0) return [];
    const missing = this.#decoder.missingPages;
    for (const page of this.#asked) if (!missing.has(page)) this.#asked.delete(page);
    const pages = this.#toAsk.filter((page) => missing.has(page));
    this.#toAsk = [];
    assert(pages.length <= AGAIN_PAGES_MAX, "the bound on a frame's output bounds its pages, too");
    return pages;
  }

  #miss(page: number): void {
    if (this.#asked.has(page)) return;
    this.#asked.add(page);
    this.#toAsk.push(page);
  }
}
