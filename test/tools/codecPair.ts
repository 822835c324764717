/**
 * An encoder and a decoder with a store each, in two memories, and a target whose pages are what QEMU would have loaded:
 * the decoder's records are read by the stream's own reader, not by the decoder's handler.
 */
import assert from "node:assert/strict";
import { loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import {
  type BatchSize,
  type Engine,
  HashedIndex,
  type IndexOptions,
  Offer,
  PageDecoder,
  PageEncoder,
  PageNumbers,
  type PagesBody,
  SlottedStore,
} from "../../src/pages/mod.ts";
import { PageKind, type RamBlock, RamRecordReader } from "../../src/stream/mod.ts";
import { PAGES_BODY_BYTES_MAX, PAGES_OUTPUT_BYTES_MAX } from "../../src/wire/mod.ts";

const GUARD_BYTES = 4096;
const CANARY = 0xc5;

/** Sizes in pages; names of unlike length. */
export function blocksOf(...pages: number[]): RamBlock[] {
  return pages.map((count, index) => ({
    index,
    name: `block${".".repeat(index)}`,
    bytes: count * PAGE_BYTES,
  }));
}

export interface PairOptions {
  readonly engine: Engine;
  readonly blocks: readonly RamBlock[];
  readonly slots: number;
  readonly index?: IndexOptions;
  readonly trustsHashes?: boolean;
  readonly loseBase?: (page: number) => boolean;
}

export class CodecPair {
  readonly source: PageKernels;
  readonly target: PageKernels;
  readonly sourceStore: SlottedStore;
  readonly targetStore: SlottedStore;
  readonly encoder: PageEncoder;
  readonly decoder: PageDecoder;
  readonly numbers: PageNumbers;
  readonly blocks: readonly RamBlock[];
  /** What the target's QEMU has, by page number; a page that was never sent is absent. */
  readonly loaded = new Map<number, Uint8Array>();
  /** What the decoder's handler was told of the last frame. */
  told: string[] = [];
  readonly asked: number[] = [];
  /** In both memories: a batch body; a page to be offered; the decoder's output; the store. */
  readonly bodyAt: number;
  readonly pageAt: number;
  readonly outAt: number;
  readonly storeAt: number;
  lastBlock: RamBlock | undefined;
  #bytesMax = 0;

  constructor(options: PairOptions) {
    const { engine, blocks, slots, index, trustsHashes, loseBase } = options;
    this.blocks = blocks;
    this.numbers = new PageNumbers(blocks);
    const start = 65_536;
    this.bodyAt = start + GUARD_BYTES;
    this.pageAt = this.bodyAt + PAGES_BODY_BYTES_MAX + GUARD_BYTES;
    this.outAt = this.pageAt + PAGE_BYTES + GUARD_BYTES;
    this.storeAt = this.outAt + PAGES_OUTPUT_BYTES_MAX + GUARD_BYTES;
    const memoryBytes = this.storeAt + slots * PAGE_BYTES + GUARD_BYTES;
    this.source = loadKernels({ memoryBytes });
    this.target = loadKernels({ memoryBytes });
    assert.equal(this.source.freeStart, start);
    for (const kernels of [this.source, this.target]) kernels.bytes.fill(CANARY, start);
    const region = { start: this.storeAt, bytes: slots * PAGE_BYTES };
    this.sourceStore = new SlottedStore(this.source, region, this.numbers.total);
    this.targetStore = new SlottedStore(this.target, region, this.numbers.total);
    this.encoder = new PageEncoder(
      this.source,
      this.sourceStore,
      new HashedIndex(slots, index ?? {}),
      engine,
      this.numbers,
      trustsHashes === undefined ? {} : { trustsHashes },
    );
    this.decoder = new PageDecoder(
      this.target,
      this.targetStore,
      this.numbers,
      {
        page: (block, offset, address) => {
          const page = this.numbers.number(block, offset);
          this.told.push(`page ${page}`);
          assert(address >= this.outAt && address < this.storeAt, "told where the record is");
        },
        zero: (block, offset) => this.told.push(`zero ${this.numbers.number(block, offset)}`),
        missing: (page) => this.asked.push(page),
      },
      loseBase === undefined ? {} : { loseBase },
    );
  }

  begin(bytesMax = PAGES_BODY_BYTES_MAX, packed = true): void {
    this.#bytesMax = bytesMax;
    this.encoder.begin(this.bodyAt, bytesMax, packed);
  }

  /** Offers a version, by the way that its content asks for. @param zero  as a page of zeros instead */
  offer(page: number, content: Uint8Array | "zero"): Offer {
    if (content === "zero") return this.encoder.addZero(page);
    const { source, pageAt } = this;
    source.bytes.set(content, pageAt);
    source.addresses[0] = pageAt;
    source.hashPages(1);
    return this.encoder.add(page, pageAt, source.hashes[0]!, source.hashes[1]!);
  }

  /** Offers one version; sends the batch and begins another when it is full. */
  send(page: number, content: Uint8Array | "zero", begin: () => void = () => this.begin()): Offer {
    let offer = this.offer(page, content);
    if (offer === Offer.full) {
      this.flush();
      begin();
      offer = this.offer(page, content);
    }
    assert.notEqual(offer, Offer.full, "an empty batch takes any page");
    return offer;
  }

  /** Ends the batch and receives it, when there is anything in it. A repair says so. */
  flush(repair = false): BatchSize | undefined {
    if (this.encoder.entries === 0) return undefined;
    const size = this.encoder.finish();
    assert(
      size.bytes <= this.#bytesMax,
      `a body of ${size.bytes} bytes where ${this.#bytesMax} were allowed`,
    );
    const guard = this.source.bytes.subarray(this.bodyAt + PAGES_BODY_BYTES_MAX, this.pageAt);
    assert(
      guard.every((byte) => byte === CANARY),
      "written behind the body",
    );
    const body = this.source.bytes.slice(this.bodyAt, this.bodyAt + size.bytes);
    const outBytes = this.receive(body, size.entries, repair);
    assert(outBytes <= size.outputBytes, `${outBytes} bytes of records, ${size.outputBytes} were announced`);
    return size;
  }

  /** Decodes a body and loads its records. @returns bytes of records. Throws what the decoder throws. */
  receive(body: Uint8Array, entries: number, repair = false): number {
    const end = this.decode(body, entries, repair);
    this.#load(this.target.bytes.slice(this.outAt, end));
    return end - this.outAt;
  }

  /** Only decodes; nothing outside output and store may be written, whatever comes of it. */
  decode(body: Uint8Array, entries: number, repair = false): number {
    const { bytes } = this.target;
    bytes.set(body, this.bodyAt);
    this.told = [];
    const before = Buffer.from(bytes.subarray(this.target.freeStart));
    const given: PagesBody = { at: this.bodyAt, bytes: body.length, entries, repair };
    try {
      return this.decoder.decode(given, this.outAt, PAGES_OUTPUT_BYTES_MAX, this.lastBlock);
    } finally {
      this.#assertKept(before, 0, this.outAt);
      this.#assertKept(before, this.outAt + PAGES_OUTPUT_BYTES_MAX, this.storeAt);
      this.#assertKept(before, bytes.length - GUARD_BYTES, bytes.length);
    }
  }

  /** The page leaves as QEMU's own record. */
  pass(page: number, content: Uint8Array | "zero"): void {
    for (const store of [this.sourceStore, this.targetStore]) {
      if (content === "zero") store.zero(page);
      else store.forget(page);
    }
    this.decoder.arrived(page);
    this.loaded.set(page, content === "zero" ? new Uint8Array(PAGE_BYTES) : Uint8Array.from(content));
  }

  #assertKept(before: Buffer, from: number, to: number): void {
    const first = this.target.freeStart;
    const start = Math.max(from, first);
    const now = this.target.bytes.subarray(start, to);
    assert(before.subarray(start - first, to - first).equals(now), `written between ${start} and ${to}`);
  }

  #load(records: Uint8Array): void {
    const expected = this.told;
    const loaded: string[] = [];
    const reader = new RamRecordReader(this.blocks, {
      page: (block, offset, kind, buffer, start, end) => {
        const page = this.numbers.number(block, offset);
        loaded.push(`${kind === PageKind.zero ? "zero" : "page"} ${page}`);
        if (kind === PageKind.zero) assert.equal(buffer[start], 0);
        this.loaded.set(page, kind === PageKind.zero ? new Uint8Array(PAGE_BYTES) : buffer.slice(start, end));
      },
    });
    if (records.length > 0) reader.push(records, 0, records.length, this.lastBlock);
    assert.deepEqual(loaded, expected, "the handler is told what the records carry");
    this.lastBlock = this.decoder.lastBlock;
  }
}
