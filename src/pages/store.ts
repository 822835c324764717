import { PAGE_BYTES, type PageKernels } from "../../kernels/types.ts";
import type { PageStore } from "./types.ts";

/** How many slots one `put` looks at for a page to evict: the bound on its cost. */
const LOOKS_MAX = 8;
/**
 * Counts are halved after so many puts, per slot and per page of the guest, whichever is more: so that a working set that
 * has moved gets in. Much more seldom than a page that is worth its slot is sent again: halving between its sends would
 * make it equal to all others.
 */
const AGE_PUTS_PER_SLOT = 8;
const AGE_PUTS_PER_PAGE = 2;
/** Low, so that who has been sent for long does not stay for long. */
const COUNT_MAX = 7;

/** Values of `#places` beside slot + 1. Zero means nothing is known, so that the table need not be touched at first. */
const UNKNOWN = 0;
const ZERO = -1;

/** A part of the kernels' memory. `start` > 0. */
export interface StoreRegion {
  readonly start: number;
  /** What the store may take; the last part of a page stays unused. 0: the store is off. */
  readonly bytes: number;
}

/**
 * Keeps versions in slots of a region of the kernels' memory. Pages that were sent often keep their slots: QEMU sweeps
 * over memory again and again, so by age (LRU, FIFO, plain CLOCK) each page would be evicted just before it is sent again.
 * When no slot is free, a page gets one only from a page that was sent less often: the least sent of up to 8 that a
 * clock hand looks at. The counts (sends with content, at most 7) are halved now and then.
 *
 * All of it is decided by the sequence of calls, `bytes` and `totalPages`, never by `start`: so two stores stay in step.
 * Memory beside the region: 5 bytes per page of the guest (1/819 of it) and 8 per slot.
 */
export class SlottedStore implements PageStore {
  readonly slots: number;
  readonly #start: number;
  /** Per page: slot + 1, ZERO or UNKNOWN. */
  readonly #places: Int32Array;
  /** Per page: how often content was sent, aged. */
  readonly #counts: Uint8Array;
  /** The same memory, four pages at a time. */
  readonly #countWords: Uint32Array;
  /** Per slot in use: its page. */
  readonly #pages: Int32Array;
  /** Free slots, the next one to be taken on top. */
  readonly #free: Int32Array;
  #freeCount: number;
  #hand = 0;
  #putsUntilAged: number;
  readonly #agePuts: number;

  /** @param totalPages  of the guest (`PageNumbers.total`); a page number outside it is a bug and throws */
  constructor(kernels: Pick<PageKernels, "bytes">, region: StoreRegion, totalPages: number) {
    const { start, bytes } = region;
    if (!(start > 0 && bytes >= 0 && start + bytes <= kernels.bytes.length))
      throw new RangeError(`a page store of ${bytes} bytes at ${start} of ${kernels.bytes.length}`);
    this.slots = Math.min(Math.floor(bytes / PAGE_BYTES), totalPages);
    this.#start = start;
    this.#places = new Int32Array(totalPages);
    this.#countWords = new Uint32Array(Math.ceil(totalPages / 4));
    this.#counts = new Uint8Array(this.#countWords.buffer);
    this.#pages = new Int32Array(this.slots);
    this.#free = new Int32Array(this.slots);
    // Lowest on top: a store that is never full touches no more memory than it needs.
    for (let slot = 0; slot < this.slots; slot++) this.#free[slot] = this.slots - 1 - slot;
    this.#freeCount = this.slots;
    this.#agePuts = Math.max(AGE_PUTS_PER_SLOT * this.slots, AGE_PUTS_PER_PAGE * totalPages);
    this.#putsUntilAged = this.#agePuts;
  }

  get usedBytes(): number {
    return (this.slots - this.#freeCount) * PAGE_BYTES;
  }

  at(page: number): number {
    const place = this.#place(page);
    return place > 0 ? this.#address(place - 1) : 0;
  }

  isZero(page: number): boolean {
    return this.#place(page) === ZERO;
  }

  sends(page: number): number {
    return this.#counts[page]!;
  }

  zero(page: number): void {
    this.#leave(page, ZERO);
  }

  forget(page: number): void {
    this.#leave(page, UNKNOWN);
  }

  put(page: number): number {
    const place = this.#place(page);
    const count = Math.min(this.#counts[page]! + 1, COUNT_MAX);
    this.#counts[page] = count;
    // Whether it is kept is judged by the counts before they are halved.
    const slot = place > 0 ? place - 1 : this.#slotFor(count);
    if (--this.#putsUntilAged === 0) this.#age();
    if (slot < 0) {
      this.#places[page] = UNKNOWN;
      return 0;
    }
    this.#places[page] = slot + 1;
    this.#pages[slot] = page;
    return this.#address(slot);
  }

  #place(page: number): number {
    const place = this.#places[page];
    if (place === undefined) throw new RangeError(`no page ${page} of ${this.#places.length}`);
    return place;
  }

  #address(slot: number): number {
    return this.#start + slot * PAGE_BYTES;
  }

  #leave(page: number, place: typeof ZERO | typeof UNKNOWN): void {
    const before = this.#place(page);
    if (before > 0) this.#free[this.#freeCount++] = before - 1;
    this.#places[page] = place;
  }

  /** A slot for a page that was sent `count` times: a free one, or that of a page sent less often; -1 when there is none. */
  #slotFor(count: number): number {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    let victim = -1;
    let least = count;
    // Here all slots are in use: none is free.
    for (let looks = Math.min(LOOKS_MAX, this.slots); looks > 0 && least > 0; looks--) {
      const slot = this.#hand;
      this.#hand = slot + 1 === this.slots ? 0 : slot + 1;
      const sent = this.#counts[this.#pages[slot]!]!;
      if (sent < least) {
        least = sent;
        victim = slot;
      }
    }
    if (victim >= 0) this.#places[this.#pages[victim]!] = UNKNOWN;
    return victim;
  }

  #age(): void {
    this.#putsUntilAged = this.#agePuts;
    const words = this.#countWords;
    for (let i = 0; i < words.length; i++) words[i] = (words[i]! >>> 1) & 0x7f7f7f7f;
  }
}
