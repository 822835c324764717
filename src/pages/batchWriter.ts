import { PAGE_BYTES } from "../../kernels/types.ts";
import {
  ENTRY_NEXT,
  EntryForm,
  PAGES_BODY_BYTES_MAX,
  PAGES_ENTRIES_MAX,
  PAGES_OUTPUT_BYTES_MAX,
  pagesOutputBytes,
  putVarint,
  VARINT_BYTES_MAX,
} from "../wire/mod.ts";
import type { PageNumbers } from "./numbers.ts";
import type { BatchSize } from "./types.ts";

/** Head, number and count of a run of zero pages. */
const RUN_BYTES_MAX = 1 + 2 * VARINT_BYTES_MAX;
/** Head, number, and a page or a body with its length: no body is longer than a page less 3. */
const ENTRY_BYTES_MAX = 1 + VARINT_BYTES_MAX + PAGE_BYTES;
/** A batch with less room could not take one entry behind a run. */
export const BATCH_BYTES_MIN = 2 * RUN_BYTES_MAX + ENTRY_BYTES_MAX;

const PAGE_OUTPUT_BYTES = pagesOutputBytes(1, 0, 0);
const ZERO_OUTPUT_BYTES = pagesOutputBytes(0, 1, 0);
const BLOCK_OUTPUT_BYTES = pagesOutputBytes(0, 0, 1);

/**
 * Writes the entries of one `pages` frame where its body will stand, within the bounds of such a frame: body, entries,
 * and what the target's QEMU is given for it. Allocates nothing per page.
 *
 * A content entry is written in two steps: `open` says where its body goes, then one of the `close` calls ends it.
 */
export class BatchWriter {
  /** Bytes that the run of zero pages ended last has taken, until somebody counts them. */
  runBytes = 0;
  readonly #bytes: Uint8Array;
  readonly #numbers: PageNumbers;
  #start = 0;
  #end = 0;
  #at = 0;
  /** Behind the number of the entry that is open. */
  #behindNumber = 0;
  #entries = 0;
  #outputBytes = 0;
  /** The page behind the last entry; -1: no entry yet. */
  #next = -1;
  /** Zero pages that wait for one more; none when the count is 0. They count as an entry already. */
  #runFirst = 0;
  #runPages = 0;
  /** The block of the last page: its first page, and the one behind its last. */
  #blockFirst = 0;
  #blockEnd = 0;

  constructor(bytes: Uint8Array, numbers: PageNumbers) {
    this.#bytes = bytes;
    this.#numbers = numbers;
  }

  get entries(): number {
    return this.#entries;
  }

  /** A new batch. @param bytesMax  BATCH_BYTES_MIN..PAGES_BODY_BYTES_MAX, all of it within the memory */
  begin(at: number, bytesMax: number): void {
    if (!(bytesMax >= BATCH_BYTES_MIN && bytesMax <= PAGES_BODY_BYTES_MAX))
      throw new RangeError(`a batch of ${bytesMax} bytes`);
    if (at + bytesMax > this.#bytes.length) throw new RangeError(`a batch at ${at}, outside the memory`);
    this.#start = at;
    this.#at = at;
    this.#end = at + bytesMax;
    this.#entries = 0;
    this.#outputBytes = 0;
    this.#next = -1;
    this.#runPages = 0;
    this.#blockFirst = 0;
    this.#blockEnd = 0;
  }

  /** Whether this page, whatever its form, fits into the batch. */
  hasRoom(page: number): boolean {
    return (
      this.#at + RUN_BYTES_MAX + ENTRY_BYTES_MAX <= this.#end &&
      this.#entries < PAGES_ENTRIES_MAX &&
      this.#outputBytes + PAGE_OUTPUT_BYTES + this.#blockBytes(page) <= PAGES_OUTPUT_BYTES_MAX
    );
  }

  /** A page of zeros. @returns false, and nothing happened, when it does not fit into the batch */
  zero(page: number): boolean {
    const blockBytes = this.#blockBytes(page);
    if (this.#outputBytes + ZERO_OUTPUT_BYTES + blockBytes > PAGES_OUTPUT_BYTES_MAX) return false;
    if (this.#runPages > 0 && page === this.#runFirst + this.#runPages && blockBytes === 0) {
      this.#runPages++;
      this.#outputBytes += ZERO_OUTPUT_BYTES;
      return true;
    }
    if (this.#at + 2 * RUN_BYTES_MAX > this.#end || this.#entries === PAGES_ENTRIES_MAX) return false;
    this.#endRun();
    this.#enter(page, ZERO_OUTPUT_BYTES);
    this.#runFirst = page;
    this.#runPages = 1;
    return true;
  }

  /**
   * Begins the entry of a page that has room.
   * @returns where a body may be written that `close` will take: its length comes before it
   */
  open(page: number): number {
    this.#endRun();
    this.#enter(page, PAGE_OUTPUT_BYTES);
    this.#behindNumber = this.#number(this.#at, page);
    this.#next = page + 1;
    return this.#behindNumber + 1;
  }

  /** Ends the open entry with the body that was written. @returns bytes of the whole entry */
  close(form: EntryForm, bodyBytes: number): number {
    const bytes = this.#bytes;
    const at = this.#behindNumber;
    // One byte was left for the length. Only bodies that are long already move.
    if (bodyBytes >= 0x80) bytes.copyWithin(at + 2, at + 1, at + 1 + bodyBytes);
    return this.#close(form, putVarint(bytes, at, bodyBytes) + bodyBytes);
  }

  /** The page equals another one that the target has. */
  closeSame(other: number): number {
    return this.#close(EntryForm.same, putVarint(this.#bytes, this.#behindNumber, other));
  }

  /** The page as it is. */
  closeRaw(address: number): number {
    this.#bytes.copyWithin(this.#behindNumber, address, address + PAGE_BYTES);
    return this.#close(EntryForm.raw, this.#behindNumber + PAGE_BYTES);
  }

  /** What the batch has become; it is whole now. */
  finish(): BatchSize {
    this.#endRun();
    return { bytes: this.#at - this.#start, entries: this.#entries, outputBytes: this.#outputBytes };
  }

  #close(form: EntryForm, end: number): number {
    this.#bytes[this.#at] = this.#bytes[this.#at]! | form;
    const entryBytes = end - this.#at;
    this.#at = end;
    return entryBytes;
  }

  #endRun(): void {
    const pages = this.#runPages;
    if (pages === 0) return;
    const at = this.#number(this.#at, this.#runFirst);
    const end = putVarint(this.#bytes, at, pages);
    this.runBytes += this.#close(EntryForm.zero, end);
    this.#next = this.#runFirst + pages;
    this.#runPages = 0;
  }

  /** The head without its form, and the number where it is needed. @returns behind it */
  #number(at: number, page: number): number {
    const next = page === this.#next;
    this.#bytes[at] = next ? ENTRY_NEXT : 0;
    return next ? at + 1 : putVarint(this.#bytes, at + 1, page);
  }

  #blockBytes(page: number): number {
    return page >= this.#blockFirst && page < this.#blockEnd ? 0 : BLOCK_OUTPUT_BYTES;
  }

  #enter(page: number, outputBytes: number): void {
    this.#entries++;
    this.#outputBytes += outputBytes + this.#blockBytes(page);
    if (page >= this.#blockFirst && page < this.#blockEnd) return;
    this.#blockFirst = page - this.#numbers.offsetOf(page) / PAGE_BYTES;
    this.#blockEnd = this.#blockFirst + Math.ceil(this.#numbers.blockOf(page).bytes / PAGE_BYTES);
  }
}
