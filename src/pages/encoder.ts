import { PAGE_BYTES, type PageKernels } from "../../kernels/types.ts";
import { EntryForm } from "../wire/mod.ts";
import { BatchWriter } from "./batchWriter.ts";
import { type Choice, choiceOf } from "./choice.ts";
import { type Engine, PAGE_FORMS, type PageForm } from "./engines.ts";
import type { EngineFigures } from "./figures.ts";
import type { PageNumbers } from "./numbers.ts";
import type { BatchSize, ContentIndex, PageStore } from "./types.ts";

/** What became of a page that was offered to a batch. */
export const Offer = {
  /** It has no room, and nothing changed: finish this batch, begin another, and offer it again. */
  full: 0,
  /** It is in the batch; the store knows it as what the target has. */
  added: 1,
  /** The target has this version: nothing crosses. */
  unchanged: 2,
} as const;
export type Offer = (typeof Offer)[keyof typeof Offer];

/**
 * Chooses the form of each page and writes the entries of batches; keeps the store and the index at what was written.
 * One batch at a time, in the order in which they are sent. Forms and figures: docs/encodings.md.
 *
 * Allocates nothing per page. Uses the kernels' `addresses` and `zeroCounts` at place 0, not the hashes.
 */
export class PageEncoder {
  readonly #kernels: PageKernels;
  readonly #store: PageStore;
  readonly #index: ContentIndex;
  readonly #engine: Engine;
  readonly #writer: BatchWriter;
  readonly #findsSame: boolean;
  readonly #trustsHashes: boolean;
  readonly #choices: { readonly packed: Choice; readonly plain: Choice };
  #choice: Choice;
  #frozen = false;
  /** By EntryForm: pages, and bytes of their entries. */
  readonly #pages = new Float64Array(PAGE_FORMS.length);
  readonly #entryBytes = new Float64Array(PAGE_FORMS.length);
  #unchanged = 0;

  /** @param options.trustsHashes  for tests: pages of one hash count as equal, so that only the digest can tell them apart */
  constructor(
    kernels: PageKernels,
    store: PageStore,
    index: ContentIndex,
    engine: Engine,
    numbers: PageNumbers,
    options: { readonly trustsHashes?: boolean } = {},
  ) {
    this.#kernels = kernels;
    this.#store = store;
    this.#index = index;
    this.#engine = engine;
    this.#writer = new BatchWriter(kernels.bytes, numbers);
    this.#findsSame = engine.forms.has("same");
    this.#trustsHashes = options.trustsHashes === true;
    this.#choices = { packed: choiceOf(engine, true), plain: choiceOf(engine, false) };
    this.#choice = this.#choices.packed;
  }

  /**
   * A new batch. The one before must be finished.
   * @param at  where its body goes, in the kernels' memory
   * @param bytesMax  room for it, BATCH_BYTES_MIN..PAGES_BODY_BYTES_MAX
   * @param packed  whether zstd will pack it: then forms that zstd does better are left out
   */
  begin(at: number, bytesMax: number, packed = true): void {
    this.#writer.begin(at, bytesMax);
    this.#choice = packed ? this.#choices.packed : this.#choices.plain;
  }

  /**
   * From now on the store stays as it is: it gives bases, nothing is put into it and no page is left out. So batches may
   * arrive in any order (docs/adr/0007). As `PageDecoder.freeze` at the target, at the same place in the stream.
   */
  freeze(): void {
    this.#frozen = true;
  }

  /** Entries of the batch so far; 0: there is nothing to finish. */
  get entries(): number {
    return this.#writer.entries;
  }

  /**
   * A version of a page, whatever its content.
   * @param address  of its 4096 bytes in the kernels' memory
   * @param lo,hi  its seeded XXH3; used only by engines that find equal pages
   */
  add(page: number, address: number, lo: number, hi: number): Offer {
    const kernels = this.#kernels;
    const store = this.#store;
    const writer = this.#writer;
    if (!writer.hasRoom(page)) return Offer.full;
    if (kernels.comparePages(address, kernels.zeroPage) === PAGE_BYTES) return this.addZero(page);

    const base = store.at(page);
    const unchanged =
      base !== 0 && this.#engine.skipsUnchanged && kernels.comparePages(base, address) === PAGE_BYTES;
    if (unchanged && !this.#frozen) {
      this.#unchanged++;
      return Offer.unchanged;
    }
    if (unchanged) {
      // QEMU has thrown it away, and the target's store has it.
      writer.open(page);
      this.#count(EntryForm.same, writer.closeSame(page));
      return Offer.added;
    }
    const other = this.#findsSame ? this.#findSame(page, address, lo, hi) : -1;
    const bodyAt = writer.open(page);
    if (other >= 0) this.#count(EntryForm.same, writer.closeSame(other));
    else this.#encode(base, address, bodyAt);
    if (!this.#frozen) this.#sent(page, address, lo, hi);
    return Offer.added;
  }

  /** A page of zeros: one after another makes one entry. */
  addZero(page: number): Offer {
    if (!this.#frozen && this.#engine.skipsUnchanged && this.#store.isZero(page)) {
      this.#unchanged++;
      return Offer.unchanged;
    }
    if (!this.#writer.zero(page)) return Offer.full;
    if (!this.#frozen) this.#store.zero(page);
    this.#pages[EntryForm.zero]!++;
    return Offer.added;
  }

  /**
   * The page as it is, for a target that lacks the base of another form.
   * @param address  of its newest sent version; the store's own slot will do
   */
  addRaw(page: number, address: number): Offer {
    if (!this.#writer.hasRoom(page)) return Offer.full;
    this.#writer.open(page);
    this.#count(EntryForm.raw, this.#writer.closeRaw(address));
    if (!this.#frozen) this.#keep(page, address);
    return Offer.added;
  }

  /** The batch is whole and may be sent. */
  finish(): BatchSize {
    return this.#writer.finish();
  }

  /** Versions that went into batches, and bytes of their entries. A run of zero pages that is not ended has no bytes yet. */
  get forms(): EngineFigures["forms"] {
    const figure = (form: PageForm) => ({
      pages: this.#pages[EntryForm[form]]!,
      bytes: form === "zero" ? this.#writer.runBytes : this.#entryBytes[EntryForm[form]]!,
    });
    return {
      zero: figure("zero"),
      same: figure("same"),
      delta: figure("delta"),
      sparse: figure("sparse"),
      wkdm: figure("wkdm"),
      raw: figure("raw"),
    };
  }

  /** Versions equal to what the target has. */
  get unchanged(): number {
    return this.#unchanged;
  }

  /** Another page that the target has with this very content, or -1. A hash is a hint only: content decides. */
  #findSame(page: number, address: number, lo: number, hi: number): number {
    const other = this.#index.find(lo, hi);
    if (other < 0 || other === page) return -1;
    const slot = this.#store.at(other);
    if (slot === 0) return -1;
    return this.#trustsHashes || this.#kernels.comparePages(slot, address) === PAGE_BYTES ? other : -1;
  }

  /** Tries the forms in the order of the choice; each gives up as soon as it is longer than it may be. */
  #encode(base: number, address: number, bodyAt: number): void {
    const kernels = this.#kernels;
    const writer = this.#writer;
    const { deltaBytesMax, sparseBytesMax, wkdmBytesMax } = this.#choice;
    let bodyBytes = 0;
    if (base !== 0 && deltaBytesMax !== 0) {
      bodyBytes = kernels.deltaEncode(base, address, bodyAt, deltaBytesMax);
      if (bodyBytes !== 0) return this.#count(EntryForm.delta, writer.close(EntryForm.delta, bodyBytes));
    }
    if (sparseBytesMax !== 0 && this.#isSparse(address)) {
      bodyBytes = kernels.sparseEncode(address, bodyAt, sparseBytesMax);
      if (bodyBytes !== 0) return this.#count(EntryForm.sparse, writer.close(EntryForm.sparse, bodyBytes));
    }
    if (wkdmBytesMax !== 0) {
      bodyBytes = kernels.wkdmEncode(address, bodyAt, wkdmBytesMax);
      if (bodyBytes !== 0) return this.#count(EntryForm.wkdm, writer.close(EntryForm.wkdm, bodyBytes));
    }
    this.#count(EntryForm.raw, writer.closeRaw(address));
  }

  #isSparse(address: number): boolean {
    const { zeroBytesMin } = this.#choice;
    if (zeroBytesMin === 0) return true;
    const kernels = this.#kernels;
    kernels.addresses[0] = address;
    kernels.countZeroBytes(1);
    return kernels.zeroCounts[0]! >= zeroBytesMin;
  }

  #count(form: EntryForm, entryBytes: number): void {
    this.#pages[form]!++;
    this.#entryBytes[form]! += entryBytes;
  }

  /** As the target does it: first the content is made, then the store is told, then the content is kept. */
  #sent(page: number, address: number, lo: number, hi: number): void {
    if (this.#keep(page, address) && this.#findsSame) this.#index.note(page, lo, hi);
  }

  #keep(page: number, address: number): boolean {
    const slot = this.#store.put(page);
    if (slot === 0) return false;
    this.#kernels.bytes.copyWithin(slot, address, address + PAGE_BYTES);
    return true;
  }
}
