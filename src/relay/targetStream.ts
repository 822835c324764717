import { PAGE_BYTES } from "../../kernels/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import { PageNumbers, type PagesBody, sameTotal, totalText } from "../pages/mod.ts";
import { FaultClock, type FaultTimes, PageSet } from "../paging/mod.ts";
import {
  type Barrier,
  decodeDiscard,
  type Element,
  explicitFirst,
  type FirewallOptions,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
  RamRecordReader,
  type RamSection,
  type StreamHandler,
  StreamReader,
} from "../stream/mod.ts";
import {
  decodeProof,
  decodeRecordsPrefix,
  encodeProof,
  PAGES_OUTPUT_BYTES_MAX,
  RECORDS_PREFIX_BYTES,
} from "../wire/mod.ts";
import type { Meter } from "./meter.ts";
import { RelayPhase } from "./phase.ts";
import { barrierAt } from "./places.ts";
import type { MemoryProof } from "./proof.ts";
import { Bitmaps } from "./recovery/bitmaps.ts";
import { TargetPages, type TargetPagesContext } from "./targetPages.ts";

/** What the memory section needs once its blocks are known. */
interface Ram {
  readonly reader: RamRecordReader;
  readonly blocks: readonly RamBlock[];
  readonly numbers: PageNumbers;
  readonly header: Uint8Array;
  readonly trailer: Uint8Array;
  readonly pages: TargetPages;
}

export interface TargetStreamContext extends TargetPagesContext {
  readonly proof: MemoryProof;
  readonly meter: Meter;
  readonly ramKnown: (section: RamSection, bytes: number) => void;
  readonly firewall: FirewallOptions;
  /** Post-copy is recovered: what the interrupted stream announced. */
  readonly resume?: RamSection | undefined;
}

/** One at each barrier of a stream, and some more. Each is answered, and the answers wait for a peer that need not read. */
const DIGESTS_MAX = 16;

/**
 * Turns frames back into QEMU's stream, checked: everything passes the same reader as at the source, records must lie
 * inside the announced blocks, and nothing after a barrier passes before the digests were found equal.
 *
 * Each call gives the bytes for QEMU of one frame, or throws before any of them could be passed on.
 */
export class TargetStream implements StreamHandler {
  phase: RelayPhase = RelayPhase.setup;
  returnPath = false;
  readonly #reader: StreamReader;
  readonly #context: TargetStreamContext;
  readonly #proof: MemoryProof;
  readonly #meter: Meter;
  #ram: Ram | undefined;
  #out: Uint8Array[] = [];
  /** Bytes of an element that is not whole yet. */
  #carry: Uint8Array = new Uint8Array(0);
  #pagesInFrame = 0;
  /** The block of the last record that QEMU was given. */
  #lastBlock: RamBlock | undefined;
  #proven: Barrier | undefined;
  #digests = 0;
  readonly #faults = new FaultClock();
  /** From the discards on: the pages that QEMU lacks. Each of them goes once. */
  #missing: PageSet | undefined;
  /** Of a recovery. */
  #bitmaps: Bitmaps | undefined;
  /** Pages of the frame in hand, while the guest waits for some. */
  readonly #given: number[] = [];

  constructor(context: TargetStreamContext) {
    this.#context = context;
    this.#proof = context.proof;
    this.#meter = context.meter;
    const { resume, firewall } = context;
    this.#reader = new StreamReader(this, { firewall, ...(resume !== undefined && { resume }) });
    if (resume !== undefined) this.#resume(resume);
  }

  /** CPU time of decoding `pages` frames, ms. */
  get decodeMs(): number {
    return this.#ram?.pages.decodeMs ?? 0;
  }

  /** Whether QEMU lacks a version that the source believes it has: no digest can be compared before it has come. */
  get lacking(): boolean {
    return this.#ram?.pages.lacking ?? false;
  }

  /** Pages to ask the source for again, after each frame. */
  takeMissing(): number[] {
    return this.#ram?.pages.takeMissing() ?? [];
  }

  /**
   * A `stream` frame.
   * @throws StreamFault, GodwitError LINK_FRAME
   */
  streamFrame(payload: Uint8Array): Uint8Array[] {
    this.#out = [];
    const bytes = this.#carry.length === 0 ? payload : Buffer.concat([this.#carry, payload]);
    const next = this.#reader.push(bytes, 0, bytes.length);
    this.#carry = bytes.slice(next);
    return this.#out;
  }

  /** The source's stream has ended here. @throws StreamFault when it may not */
  end(): void {
    this.#reader.end();
  }

  /**
   * A `records` frame, as one PART section.
   * @throws StreamFault, GodwitError LINK_FRAME
   */
  recordsFrame(payload: Uint8Array): Uint8Array[] {
    const prefix = decodeRecordsPrefix(payload);
    if (typeof prefix === "string") throw new GodwitError("LINK_FRAME", { rule: prefix });
    const ram = this.#ram;
    if (ram === undefined) throw new GodwitError("LINK_FRAME", { rule: "records_before_blocks" });
    if (this.phase === RelayPhase.deviceState)
      throw new GodwitError("LINK_FRAME", { rule: "records_after_end" });
    // Its section would lie within another, or in the package.
    if (!this.#reader.takesPages) throw new GodwitError("LINK_FRAME", { rule: "records_within_element" });
    this.#reader.notePages();
    const context = prefix.context === undefined ? undefined : ram.blocks[prefix.context];
    if (prefix.context !== undefined && context === undefined)
      throw new GodwitError("LINK_FRAME", { rule: "records_context" });

    this.#pagesInFrame = 0;
    const start = RECORDS_PREFIX_BYTES;
    ram.reader.push(payload, start, payload.length, context);
    this.#proof.settle();
    if (this.#pagesInFrame !== prefix.pages) throw new GodwitError("LINK_FRAME", { rule: "records_count" });

    const first = explicitFirst(payload, start, context, this.#lastBlock);
    this.#lastBlock = ram.reader.lastBlock;
    return first === undefined
      ? [ram.header, payload.subarray(start), ram.trailer]
      : [ram.header, first, payload.subarray(start + 8), ram.trailer];
  }

  /**
   * A `pages` frame, as one PART section.
   * @param body  its entries, in the kernels' memory
   * @param outAt  room for PAGES_OUTPUT_BYTES_MAX bytes there, until QEMU has what is returned
   * @returns nothing when none of its pages can be made, or it repairs what has been made good meanwhile
   * @throws GodwitError LINK_FRAME
   */
  pagesFrame(body: PagesBody, outAt: number): Uint8Array[] {
    const ram = this.#ram;
    if (ram === undefined) throw new GodwitError("LINK_FRAME", { rule: "pages_before_blocks" });
    const { phase } = this;
    if (phase === RelayPhase.deviceState || (phase === RelayPhase.memory && this.#missing !== undefined)) {
      // Asked for before a newer version came in another way, and on its way since.
      if (body.repair) return [];
      const rule = phase === RelayPhase.deviceState ? "pages_after_end" : "pages_before_package";
      throw new GodwitError("LINK_FRAME", { rule });
    }
    if (!this.#reader.takesPages) throw new GodwitError("LINK_FRAME", { rule: "pages_within_element" });
    this.#reader.notePages();
    const { bytes } = this.#context.kernels;
    const startedMs = performance.now();
    const end = ram.pages.decode(body, outAt, PAGES_OUTPUT_BYTES_MAX, this.#lastBlock);
    this.#proof.settle();
    ram.pages.decodeMs += performance.now() - startedMs;
    this.#lastBlock = ram.pages.lastBlock;
    return end === outAt ? [] : [ram.header, bytes.subarray(outAt, end), ram.trailer];
  }

  /**
   * A `digest` frame: compares.
   * @returns the payload of the verdict
   * @throws GodwitError LINK_FRAME; DIGEST_MISMATCH is for the caller to raise, after it has sent the verdict
   */
  digestFrame(payload: Uint8Array): {
    barrier: Barrier;
    verdict: Uint8Array;
    mismatch: GodwitError | undefined;
  } {
    const theirs = decodeProof(payload);
    if (typeof theirs === "string") throw new GodwitError("LINK_FRAME", { rule: theirs });
    const barrier = barrierAt(theirs.place);
    if (barrier === undefined || theirs.answer !== 0)
      throw new GodwitError("LINK_FRAME", { rule: "proof_place" });
    if (++this.#digests > DIGESTS_MAX) throw new GodwitError("LINK_FRAME", { rule: "digests_too_many" });
    const ours = this.#proof.total();
    const equal = sameTotal(ours, theirs);
    this.#meter.countVerdict(equal);
    if (equal) this.#proven = barrier;
    const { pages, lo, hi } = ours;
    return {
      barrier,
      verdict: encodeProof({ place: theirs.place, answer: equal ? 1 : 2, pages, lo, hi }),
      mismatch: equal
        ? undefined
        : new GodwitError("DIGEST_MISMATCH", {
            pages: theirs.pages,
            source: totalText(theirs),
            target: totalText(ours),
          }),
    };
  }

  /** QEMU's guest waits for pages. What is no request for missing pages is not counted. */
  asked(block: string, offset: number, bytes: number, nowMs: number): void {
    const known = this.#ram?.blocks.find(({ name }) => name === block);
    if (known === undefined || this.#missing === undefined) return;
    const first = this.#ram!.numbers.number(known, offset);
    for (let page = first; page < first + bytes / PAGE_BYTES; page++)
      if (this.#missing.has(page)) this.#faults.asked(page, nowMs);
  }

  /** Pages of the frame that was just made that the guest may wait for. QEMU has them: `given`. */
  takeGiven(): readonly number[] {
    return this.#given.splice(0);
  }

  given(pages: readonly number[], nowMs: number): void {
    for (const page of pages) this.#faults.given(page, nowMs);
  }

  /** How long the guest waited; null: it never did. */
  get faultTimes(): FaultTimes | null {
    return this.#faults.times();
  }

  /** Pages that QEMU lacks, in post-copy; null before. */
  get missingPages(): number | null {
    return this.#missing?.count ?? null;
  }

  // What the readers tell

  bytes(buffer: Uint8Array, start: number, end: number): void {
    this.#out.push(buffer.subarray(start, end));
  }

  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.#pagesInFrame++;
    this.#ram?.pages.passed(block, offset, kind);
    this.#told(block, offset, kind, buffer, start, end);
  }

  /** A version that QEMU is given. */
  #told(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#missing !== undefined) this.#deliver(this.#missing, block, offset);
    this.#meter.countPage(kind);
    this.#proof.page(block, offset, kind, buffer, start, end);
  }

  /** QEMU pauses on a page that comes twice, and has zeros where one never comes. */
  #deliver(missing: PageSet, block: RamBlock, offset: number): void {
    const page = this.#ram!.numbers.number(block, offset);
    if (!missing.delete(page)) throw new GodwitError("LINK_FRAME", { rule: "page_not_missing" });
    if (this.#faults.waiting > 0) this.#given.push(page);
  }

  #known(section: RamSection, totalBytes: number): Ram {
    const { id, blocks } = section;
    this.#proof.setBlocks(blocks);
    this.#meter.ramBytes = totalBytes;
    this.#context.ramKnown(section, totalBytes);
    return {
      reader: new RamRecordReader(blocks, this),
      blocks,
      numbers: new PageNumbers(blocks),
      header: partHeader(id),
      trailer: partTrailer(id),
      pages: this.#decoded(blocks),
    };
  }

  /** The guest runs already; what is missing QEMU itself says (`received`). */
  #resume(section: RamSection): void {
    const bytes = section.blocks.reduce((sum, block) => sum + block.bytes, 0);
    const ram = this.#known(section, bytes);
    this.#ram = ram;
    ram.pages.freeze();
    ram.reader.enterPostcopy();
    this.phase = RelayPhase.postcopy;
    this.#meter.postcopy = true;
    this.#bitmaps = new Bitmaps(section.blocks, ram.numbers);
    this.#missing = this.#bitmaps.missing;
  }

  /** Recovery: QEMU says which pages of a block it has. Once per block; later ones change nothing. */
  received(block: string, bits: Uint8Array): void {
    this.#bitmaps?.take(block, bits);
  }

  #discard(payload: Uint8Array): void {
    const { blocks, numbers } = this.#ram!;
    const discard = decodeDiscard(payload, blocks);
    for (const { offset, bytes } of discard?.ranges ?? [])
      this.#missing?.addRange(numbers.number(discard!.block, offset), bytes / PAGE_BYTES);
  }

  #decoded(blocks: readonly RamBlock[]): TargetPages {
    const { kernels } = this.#context;
    const { bytes } = kernels;
    return new TargetPages(
      blocks,
      {
        page: (block, offset, at) => this.#told(block, offset, PageKind.page, bytes, at, at + PAGE_BYTES),
        zero: (block, offset) => this.#told(block, offset, PageKind.zero, bytes, 0, 0),
      },
      this.#context,
    );
  }

  /** The source takes memory sections apart; one that comes whole would pass beside the digest of its frame. */
  records(): void {
    throw new GodwitError("LINK_FRAME", { rule: "records_in_stream" });
  }

  barrier(barrier: Barrier): void {
    if (this.#proven !== barrier) throw new GodwitError("LINK_FRAME", { rule: "digest_missing" });
    this.#proven = undefined;
    if (barrier === "discard" && this.#ram !== undefined) {
      this.#missing = new PageSet(this.#ram.numbers.total);
      this.#ram.pages.freeze();
    }
    // Nothing discarded: nothing is missing, and no page may come on top of the running guest's.
    if (barrier === "package" && this.#ram !== undefined)
      this.#missing ??= new PageSet(this.#ram.numbers.total);
    if ((barrier === "end" || barrier === "devices") && (this.#missing?.count ?? 0) !== 0)
      throw new GodwitError("LINK_FRAME", { rule: "pages_missing_at_end" });
    if (barrier === "package") {
      this.phase = RelayPhase.postcopy;
      this.#meter.postcopy = true;
      this.#ram?.reader.enterPostcopy();
    } else if (this.phase !== RelayPhase.postcopy && barrier !== "discard") {
      this.phase = RelayPhase.deviceState;
    }
  }

  element(element: Element): void {
    if (element.type === "ramBlocks") {
      this.#ram = this.#known(this.#reader.ram as RamSection, element.totalBytes);
      this.phase = RelayPhase.memory;
    } else if (element.type === "command" && element.name === "POSTCOPY_RAM_DISCARD") {
      this.#discard(element.payload);
    } else if (element.type === "transparent") {
      // Where the end of it comes cannot be seen: from here on the target may have loaded the guest.
      this.phase = RelayPhase.deviceState;
    } else if (element.type === "command" && element.name === "OPEN_RETURN_PATH") {
      this.returnPath = true;
    }
  }
}
