import { PAGE_BYTES, type PageKernels } from "../../../kernels/mod.ts";

interface Region {
  readonly start: number;
  readonly bytes: number;
}

/**
 * Pages that were taken from the stopped source. One that was sent is *spent*: it can still be read until its slot is
 * needed, the one spent first first, so that what a target has lost can be sent again.
 */
export class PagePool {
  readonly #kernels: Pick<PageKernels, "bytes">;
  readonly #start: number;
  readonly #slots: number;
  /** Per page: slot + 1; 0: not here. */
  readonly #places: Int32Array;
  /** Slots below have been used at least once. */
  #touched = 0;
  /** Ring of spent pages, the one spent first at `#head`. */
  readonly #spent: Int32Array;
  #head = 0;
  #spentCount = 0;
  /** Slots of pages that were thrown away. */
  readonly #free: number[] = [];

  /** @param region  `start` > 0; what is less than a page at its end stays unused */
  constructor(kernels: Pick<PageKernels, "bytes">, region: Region, totalPages: number) {
    this.#kernels = kernels;
    this.#start = region.start;
    this.#slots = Math.min(Math.floor(region.bytes / PAGE_BYTES), totalPages);
    this.#places = new Int32Array(totalPages);
    this.#spent = new Int32Array(this.#slots);
  }

  /** Pages that can be put without losing one that was not spent. */
  get room(): number {
    return this.#slots - this.#touched + this.#free.length + this.#spentCount;
  }

  /** The most that was ever held, bytes. */
  get bytesMax(): number {
    return this.#touched * PAGE_BYTES;
  }

  /** Where its 4096 bytes lie in the kernels' memory; 0: not here (any more). */
  at(page: number): number {
    const place = this.#places[page]!;
    return place === 0 ? 0 : this.#start + (place - 1) * PAGE_BYTES;
  }

  /** Keeps a copy. The caller has looked at `room`. @param address  of its 4096 bytes in the kernels' memory */
  put(page: number, address: number): void {
    if (this.#places[page] !== 0) throw new Error(`page ${page} is in the pool already`);
    const slot = this.#free.pop() ?? (this.#touched < this.#slots ? this.#touched++ : this.#slotOfSpent());
    this.#places[page] = slot + 1;
    const at = this.#start + slot * PAGE_BYTES;
    this.#kernels.bytes.copyWithin(at, address, address + PAGE_BYTES);
  }

  /** It will never be sent: another version comes, or none is needed. One that was spent must not be thrown away. */
  forget(page: number): void {
    const place = this.#places[page]!;
    if (place === 0) return;
    this.#free.push(place - 1);
    this.#places[page] = 0;
  }

  /** It was sent. */
  spend(page: number): void {
    if (this.#places[page] === 0) return;
    this.#spent[(this.#head + this.#spentCount++) % this.#slots] = page;
  }

  #slotOfSpent(): number {
    if (this.#spentCount === 0) throw new Error("the pool is full");
    const page = this.#spent[this.#head]!;
    this.#head = (this.#head + 1) % this.#slots;
    this.#spentCount--;
    const slot = this.#places[page]! - 1;
    this.#places[page] = 0;
    return slot;
  }
}
