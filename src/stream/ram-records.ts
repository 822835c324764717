/** Bare RAM records in whole frames, as they travel between the relays: the target checks them with this. */
import { invariant } from "./bytes.ts";
import { type PageHandler, RecordScanner } from "./scanner.ts";
import { type RamBlock, StreamFault } from "./types.ts";

export class RamRecordReader {
  readonly #scanner: RecordScanner;
  #consumed = 0;

  /** @param blocks  as announced in the stream; records outside them are refused */
  constructor(blocks: readonly RamBlock[], handler: PageHandler) {
    this.#scanner = new RecordScanner(handler);
    this.#scanner.setBlocks(blocks);
  }

  /** The block of the last record: what a CONTINUE record after it would mean. */
  get lastBlock(): RamBlock | undefined {
    return this.#scanner.current;
  }

  /** From now on only whole pages are allowed (after the package). */
  enterPostcopy(): void {
    this.#scanner.postcopy = true;
  }

  /**
   * Tells the pages of one frame: `buffer[start..end)` must be whole records and nothing else.
   * @param context  the block that a leading CONTINUE record refers to; each frame stands alone
   * @throws StreamFault with the offset counted over all frames; the pages before it have been told
   */
  push(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void {
    invariant(this.#scanner.setCurrent(context), "the context is an announced block");
    const at = this.#scanner.scan(buffer, start, end);
    const atByte = this.#consumed + at - start;
    if (this.#scanner.fault !== undefined) throw new StreamFault(this.#scanner.fault, atByte);
    if (this.#scanner.eos) throw new StreamFault("eos_in_records", atByte);
    if (at !== end) throw new StreamFault("record_truncated", atByte);
    this.#consumed += end - start;
  }
}
