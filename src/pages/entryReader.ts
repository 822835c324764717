import { PAGE_BYTES } from "../../kernels/types.ts";
import {
  ENTRY_NEXT,
  EntryForm,
  PAGES_OUTPUT_BYTES_MAX,
  pagesOutputBytes,
  VarintReader,
} from "../wire/mod.ts";
import type { PageNumbers } from "./numbers.ts";
import { PagesFault } from "./pagesFault.ts";

/** The body of one `pages` frame, unpacked. */
export interface PagesBody {
  /** In the kernels' memory. */
  readonly at: number;
  readonly bytes: number;
  /** As the prefix says; all of the body is to be used up by them. */
  readonly entries: number;
  /** Sent in answer to `again`: only raw entries. */
  readonly repair: boolean;
}

const FORM_BITS = 0x0f;
const PAGE_OUTPUT_BYTES = pagesOutputBytes(1, 0, 0);
const ZERO_OUTPUT_BYTES = pagesOutputBytes(0, 1, 0);
const BLOCK_OUTPUT_BYTES = pagesOutputBytes(0, 0, 1);

/** Reads a peer's entries one by one without allocating: the fields hold the last one read. */
export class EntryReader {
  form: EntryForm = EntryForm.zero;
  page = 0;
  /** zero: pages of the run; same: the other page; else the length of the body. */
  value = 0;
  /** Where the body begins. */
  bodyAt = 0;
  readonly #bytes: Uint8Array;
  readonly #numbers: PageNumbers;
  readonly #varint = new VarintReader();
  #at = 0;
  #end = 0;
  /** The page behind the last entry; -1: no entry yet. */
  #next = -1;
  /** The block of the last page: its first page, and the one behind its last. */
  #blockFirst = 0;
  #blockEnd = 0;

  constructor(bytes: Uint8Array, numbers: PageNumbers) {
    this.#bytes = bytes;
    this.#numbers = numbers;
  }

  /** From the first entry on. */
  begin(body: PagesBody): void {
    this.#at = body.at;
    this.#end = body.at + body.bytes;
    this.#next = -1;
    this.#blockFirst = 0;
    this.#blockEnd = 0;
  }

  /**
   * Judges all entries, but for the bodies of encodings: these judge themselves when they are decoded. `begin` again to
   * read them.
   * @returns the most bytes of records that they become
   * @throws PagesFault
   */
  judge(body: PagesBody): number {
    this.begin(body);
    let outputBytes = 0;
    for (let i = 0; i < body.entries; i++) {
      const changesBlock = this.read();
      if (body.repair && this.form !== EntryForm.raw) throw new PagesFault("entry_repair");
      outputBytes += this.form === EntryForm.zero ? this.value * ZERO_OUTPUT_BYTES : PAGE_OUTPUT_BYTES;
      if (changesBlock) outputBytes += BLOCK_OUTPUT_BYTES;
      if (outputBytes > PAGES_OUTPUT_BYTES_MAX) throw new PagesFault("entries_output");
    }
    if (this.#at !== this.#end) throw new PagesFault("entries_left_over");
    return outputBytes;
  }

  /**
   * The next entry.
   * @returns whether its page lies in another block than the one before (or is the first)
   * @throws PagesFault
   */
  read(): boolean {
    if (this.#at >= this.#end) throw new PagesFault("entry_truncated");
    const head = this.#bytes[this.#at++]!;
    const form = head & FORM_BITS;
    if (form > EntryForm.raw || (head & ~(FORM_BITS | ENTRY_NEXT)) !== 0) throw new PagesFault("entry_form");
    this.form = form as EntryForm;
    if ((head & ENTRY_NEXT) === 0) this.page = this.#number();
    else if (this.#next < 0) throw new PagesFault("entry_next_first");
    else this.page = this.#next;
    if (this.page >= this.#numbers.total) throw new PagesFault("entry_page");
    const changesBlock = this.#enter(this.page);
    this.#next = this.page + 1;
    this.#readValue();
    return changesBlock;
  }

  #readValue(): void {
    this.value = this.form === EntryForm.raw ? PAGE_BYTES : this.#number();
    const { value } = this;
    if (this.form === EntryForm.zero) {
      if (value === 0 || value > this.#blockEnd - this.page) throw new PagesFault("entry_run");
      this.#next = this.page + value;
      return;
    }
    if (this.form === EntryForm.same) {
      if (value >= this.#numbers.total) throw new PagesFault("entry_page");
      return;
    }
    if (value === 0) throw new PagesFault("entry_body_empty");
    if (value > this.#end - this.#at) throw new PagesFault("entry_truncated");
    this.bodyAt = this.#at;
    this.#at += value;
  }

  #number(): number {
    const behind = this.#varint.read(this.#bytes, this.#at, this.#end);
    if (behind < 0) throw new PagesFault("entry_number");
    this.#at = behind;
    return this.#varint.value;
  }

  #enter(page: number): boolean {
    if (page >= this.#blockFirst && page < this.#blockEnd) return false;
    this.#blockFirst = page - this.#numbers.offsetOf(page) / PAGE_BYTES;
    this.#blockEnd = this.#blockFirst + Math.ceil(this.#numbers.blockOf(page).bytes / PAGE_BYTES);
    return true;
  }
}
