import { kernelRule } from "../../kernels/rules.ts";
import { PAGE_BYTES, type PageKernels } from "../../kernels/types.ts";
import { type RamBlock, RamFlag } from "../stream/mod.ts";
import { EntryForm } from "../wire/mod.ts";
import { EntryReader, type PagesBody } from "./entryReader.ts";
import type { PageNumbers } from "./numbers.ts";
import { PagesFault } from "./pagesFault.ts";
import { RecordHeads } from "./recordHeads.ts";
import type { PageStore } from "./types.ts";

/** Told of each page that a frame carries, in order. Addresses are in the kernels' memory. */
export interface DecodedPages {
  /** A whole page: its 4096 bytes stand in the record that was written. */
  page(block: RamBlock, offset: number, address: number): void;
  zero(block: RamBlock, offset: number): void;
  /** No record was written: the base is lacking. The page must be asked for (`again`). */
  missing(page: number): void;
}

/**
 * Makes QEMU's records of the entries of `pages` frames, and keeps the store in step with the source's. One frame after
 * another, in the order of sending (a repair may overtake what is no page). Allocates nothing per page.
 */
export class PageDecoder {
  readonly #kernels: PageKernels;
  readonly #store: PageStore;
  readonly #numbers: PageNumbers;
  readonly #handler: DecodedPages;
  readonly #loseBase: ((page: number) => boolean) | undefined;
  readonly #entry: EntryReader;
  readonly #heads: RecordHeads;
  readonly #missing = new Set<number>();
  #frozen = false;

  /** @param options.loseBase  for tests: whether to act as if this base were lacking */
  constructor(
    kernels: PageKernels,
    store: PageStore,
    numbers: PageNumbers,
    handler: DecodedPages,
    options: { readonly loseBase?: (page: number) => boolean } = {},
  ) {
    this.#kernels = kernels;
    this.#store = store;
    this.#numbers = numbers;
    this.#handler = handler;
    this.#loseBase = options.loseBase;
    this.#entry = new EntryReader(kernels.bytes, numbers);
    this.#heads = new RecordHeads(kernels.bytes);
  }

  /** Pages whose newest version has not come, because a base was lacking. */
  get missingPages(): ReadonlySet<number> {
    return this.#missing;
  }

  /** As `PageEncoder.freeze` at the source, at the same place in the stream. */
  freeze(): void {
    this.#frozen = true;
  }

  /** The block of the last record written, or as told to `decode`. */
  get lastBlock(): RamBlock | undefined {
    return this.#heads.last;
  }

  /** A page came as QEMU's record: it is not missing any more. The caller tells the store. */
  arrived(page: number): void {
    if (this.#missing.size > 0) this.#missing.delete(page);
  }

  /**
   * One frame. The entries are judged before anything is written or told; an encoded body is judged when its turn comes,
   * so after a fault what was written, told and stored of this frame is of no use: the migration ends.
   * @param outAt  where records go, in the kernels' memory, apart from the body and the store
   * @param outMax  room there; PAGES_OUTPUT_BYTES_MAX is always enough
   * @param lastBlock  of the last record that QEMU was given
   * @returns the end of the records; `outAt` when every page is missing
   * @throws PagesFault
   */
  decode(body: PagesBody, outAt: number, outMax: number, lastBlock: RamBlock | undefined): number {
    const outputBytes = this.#entry.judge(body);
    if (outputBytes > outMax) throw new RangeError(`${outputBytes} bytes of records, room for ${outMax}`);
    this.#heads.last = lastBlock;
    const entry = this.#entry;
    entry.begin(body);
    let out = outAt;
    for (let i = 0; i < body.entries; i++) {
      entry.read();
      if (entry.form === EntryForm.zero) out = this.#zeros(out, entry.page, entry.value);
      else out = this.#content(out, entry.page);
    }
    return out;
  }

  #zeros(outAt: number, first: number, count: number): number {
    const block = this.#numbers.blockOf(first);
    let offset = this.#numbers.offsetOf(first);
    let out = outAt;
    for (let page = first; page < first + count; page++, offset += PAGE_BYTES) {
      out = this.#heads.put(out, block, offset, RamFlag.zero);
      this.#kernels.bytes[out++] = 0;
      if (!this.#frozen) this.#store.zero(page);
      this.arrived(page);
      this.#handler.zero(block, offset);
    }
    return out;
  }

  #content(outAt: number, page: number): number {
    const base = this.#base(page);
    if (base < 0) {
      this.#missing.add(page);
      // Both sides make the same calls, whatever comes of them.
      if (!this.#frozen) this.#store.put(page);
      this.#handler.missing(page);
      return outAt;
    }
    const block = this.#numbers.blockOf(page);
    const offset = this.#numbers.offsetOf(page);
    const at = this.#heads.put(outAt, block, offset, RamFlag.page);
    this.#make(at, base);
    // The base may lose its slot only now.
    const slot = this.#frozen ? 0 : this.#store.put(page);
    if (slot !== 0) this.#kernels.bytes.copyWithin(slot, at, at + PAGE_BYTES);
    this.arrived(page);
    this.#handler.page(block, offset, at);
    return at + PAGE_BYTES;
  }

  /** Where the base of the entry lies; 0: it needs none; -1: it is lacking. */
  #base(page: number): number {
    const { form, value } = this.#entry;
    if (form !== EntryForm.delta && form !== EntryForm.same) return 0;
    const of = form === EntryForm.same ? value : page;
    const slot = this.#store.at(of);
    if (slot === 0 || this.#missing.has(of) || this.#loseBase?.(of) === true) return -1;
    return slot;
  }

  /** The content of the entry, at `at`. */
  #make(at: number, base: number): void {
    const kernels = this.#kernels;
    const { form, value, bodyAt } = this.#entry;
    let rule = 0;
    switch (form) {
      case EntryForm.delta:
        rule = kernels.deltaDecode(bodyAt, value, base, at);
        break;
      case EntryForm.sparse:
        rule = kernels.sparseDecode(bodyAt, value, at);
        break;
      case EntryForm.wkdm:
        rule = kernels.wkdmDecode(bodyAt, value, at);
        break;
      default: {
        const from = form === EntryForm.same ? base : bodyAt;
        kernels.bytes.copyWithin(at, from, from + PAGE_BYTES);
      }
    }
    const broken = kernelRule(rule);
    if (broken !== undefined) throw new PagesFault(broken);
  }
}
