/**
 * What a target relay stands between: a source that speaks the link's protocol frame by frame, right or wrong, and
 * something that listens as a QEMU and keeps every byte.
 */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import net from "node:net";
import { zstdCompressSync } from "node:zlib";
import { loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import type { GodwitError } from "../../src/errors/mod.ts";
import { Arena, connectLink, type Link, type ReceivedFrame } from "../../src/link/mod.ts";
import { ENGINES, HashedIndex, Offer, PageEncoder, PageNumbers, SlottedStore } from "../../src/pages/mod.ts";
import { encodeGreeting } from "../../src/relay/greeting.ts";
import { MemoryProof } from "../../src/relay/proof.ts";
import {
  encodeBlockList,
  encodeConfiguration,
  encodeEos,
  encodeHeader,
  encodeRecord,
  encodeSectionStart,
  footer,
  PageKind,
  type RamBlock,
  RamRecordReader,
} from "../../src/stream/mod.ts";
import {
  DataKind,
  encodePagesPrefix,
  encodeProof,
  encodeRecordsPrefix,
  PAGES_BODY_BYTES_MAX,
  PagesForm,
} from "../../src/wire/mod.ts";
import { tcp } from "./relayCli.ts";

const MIB = 2 ** 20;
/** Of the "ram" section. */
export const RAM_ID = 2;
const SEED = { low: 7, high: 11 };

/** Everything up to the first memory section of a guest with these blocks. @param between  goes before it */
export function announcement(blocks: readonly RamBlock[], between: readonly Uint8Array[] = []): Uint8Array {
  const start = encodeSectionStart({ id: RAM_ID, name: "ram", instance: 0, version: 4 });
  const head = [encodeHeader(), encodeConfiguration("pc"), ...between, start];
  return Buffer.concat([...head, encodeBlockList(blocks), encodeEos(), footer(RAM_ID)]);
}

/** A frame `pages`, whatever sense it makes. */
export function pagesFrame(
  form: PagesForm,
  body: Uint8Array,
  more: { entries?: number; bodyBytes?: number } = {},
): Uint8Array {
  const entries = more.entries ?? 1;
  const bodyBytes = more.bodyBytes ?? body.length;
  return Buffer.concat([encodePagesPrefix({ form, entries, bodyBytes }), body]);
}

/** A body as the source packs it. */
export function packed(body: Uint8Array): Uint8Array {
  return zstdCompressSync(body, { pledgedSrcSize: body.length });
}

/** Listens as a target QEMU; one connection after the other. */
export class ListeningQemu implements AsyncDisposable {
  /** What came on the last connection. */
  heard: Buffer[] = [];
  bytes = 0;
  connections = 0;
  #reads = true;
  #socket: net.Socket | undefined;
  readonly #server: net.Server;
  readonly #changes = new EventEmitter();

  private constructor() {
    this.#server = net.createServer((socket) => {
      this.#socket = socket;
      this.connections++;
      this.heard = [];
      this.bytes = 0;
      if (!this.#reads) socket.pause();
      socket.on("error", () => undefined);
      socket.on("data", (bytes: Buffer) => {
        this.heard.push(bytes);
        this.bytes += bytes.length;
        this.#changes.emit("change");
      });
    });
  }

  static async listen(path: string): Promise<ListeningQemu> {
    const qemu = new ListeningQemu();
    qemu.#server.listen(path);
    await once(qemu.#server, "listening");
    return qemu;
  }

  /** Whether it takes what comes, now and on later connections. */
  set reads(reads: boolean) {
    this.#reads = reads;
    if (reads) this.#socket?.resume();
    else this.#socket?.pause();
  }

  async heardBytes(count: number): Promise<void> {
    while (this.bytes < count) await once(this.#changes, "change", { signal: AbortSignal.timeout(20_000) });
  }

  get everything(): Buffer {
    return Buffer.concat(this.heard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/**
 * The pages in what a QEMU was given: PART sections of one memory section and nothing else between `start` and the end.
 * @returns newest contents by page number; zeros as an empty array
 */
export function loadedPages(
  bytes: Buffer,
  start: number,
  blocks: readonly RamBlock[],
): Map<number, Uint8Array> {
  const numbers = new PageNumbers(blocks);
  const pages = new Map<number, Uint8Array>();
  const reader = new RamRecordReader(blocks, {
    page: (block, offset, kind, buffer, from, to) => {
      assert(kind === PageKind.page || kind === PageKind.zero, "only whole pages are written");
      const content = kind === PageKind.zero ? new Uint8Array(0) : Uint8Array.from(buffer.subarray(from, to));
      pages.set(numbers.number(block, offset), content);
    },
  });
  const header = Buffer.from([2, 0, 0, 0, RAM_ID]);
  const trailer = Buffer.concat([encodeEos(), footer(RAM_ID)]);
  for (let at = start; at < bytes.length; ) {
    assert.deepEqual(bytes.subarray(at, at + 5), header, `a section begins at ${at}`);
    const end = sectionEnd(bytes, at + 5);
    reader.push(bytes, at + 5, end, reader.lastBlock);
    assert.deepEqual(bytes.subarray(end, end + 13), trailer, `a section ends at ${end}`);
    at = end + 13;
  }
  return pages;
}

/** Where the records that begin at `at` end: at the mark of the section's end. */
function sectionEnd(bytes: Buffer, at: number): number {
  let p = at;
  for (;;) {
    assert(p + 8 <= bytes.length, `no end of the section at ${at}`);
    const flags = bytes[p + 7]! | ((bytes[p + 6]! & 0x0f) << 8);
    if ((flags & 0x10) !== 0) return p;
    const named = (flags & 0x20) === 0 ? 1 + bytes[p + 8]! : 0;
    p += 8 + named + ((flags & 0x02) !== 0 ? 1 : PAGE_BYTES);
  }
}

export interface PagesSourceOptions {
  /** HOST:PORT of the target relay. */
  readonly to: string;
  readonly blocks: readonly RamBlock[];
  /** Default 1 MiB; what both sides use, when the target offers as much. */
  readonly pageCacheBytes?: number;
}

/** A source relay without a QEMU: it encodes with the real encoder, and sends whatever a test wants. */
export class PagesSource {
  readonly encoder: PageEncoder;
  readonly store: SlottedStore;
  /** What came from the target, in order. */
  readonly heard: { readonly kind: DataKind; readonly payload: Buffer }[] = [];
  /** How the session ended. */
  readonly ended: Promise<GodwitError | undefined>;
  acked = 0;
  sent = 0;
  /** Newest contents by page; zeros as an empty array. */
  readonly newest = new Map<number, Uint8Array>();
  readonly #kernels: PageKernels;
  readonly #blocks: readonly RamBlock[];
  readonly #numbers: PageNumbers;
  readonly #proof: MemoryProof;
  readonly #bodyAt: number;
  readonly #pageAt: number;
  readonly #link: Link;
  readonly #changes = new EventEmitter();

  private constructor(
    options: PagesSourceOptions,
    kernels: PageKernels,
    link: Link,
    ended: Promise<GodwitError | undefined>,
  ) {
    const cacheBytes = options.pageCacheBytes ?? MIB;
    this.#kernels = kernels;
    this.#blocks = options.blocks;
    this.#link = link;
    this.ended = ended;
    this.#numbers = new PageNumbers(options.blocks);
    this.#bodyAt = kernels.freeStart + 2 * MIB;
    this.#pageAt = this.#bodyAt + PAGES_BODY_BYTES_MAX + 1024;
    const region = { start: this.#pageAt + PAGE_BYTES, bytes: cacheBytes };
    this.store = new SlottedStore(kernels, region, this.#numbers.total);
    const index = new HashedIndex(this.store.slots);
    this.encoder = new PageEncoder(kernels, this.store, index, ENGINES.auto, this.#numbers);
    this.#proof = new MemoryProof(kernels, SEED);
    this.#proof.setBlocks(options.blocks);
  }

  static async connect(options: PagesSourceOptions): Promise<PagesSource> {
    const cacheBytes = options.pageCacheBytes ?? MIB;
    const kernels = loadKernels({ memoryBytes: 65_536 + 3 * MIB + cacheBytes });
    const { freeStart: start } = kernels;
    const { host, port } = tcp(options.to) as { host: string; port: number };
    const ended = Promise.withResolvers<GodwitError | undefined>();
    const early: ReceivedFrame[] = [];
    let source: PagesSource | undefined;
    const { link } = await connectLink(
      {
        ...{ host, port, ticket: "", insecure: false, reconnectForMs: 1000, bandwidthBytesPerSec: 0 },
        greeting: encodeGreeting({ seed: SEED, pageCacheBytes: cacheBytes }),
        arena: new Arena(kernels.bytes, MIB, { start, end: start + 2 * MIB }),
      },
      {
        frame: (frame) => (source === undefined ? early.push(frame) : source.#heard(frame)),
        drain: () => undefined,
        ended: (error) => ended.resolve(error),
      },
    );
    source = new PagesSource(options, kernels, link, ended.promise);
    for (const frame of early) source.#heard(frame);
    return source;
  }

  /** One frame, as it is. */
  send(kind: DataKind, payload: Uint8Array): void {
    this.sent++;
    this.#link.send(kind, [payload], () => {
      this.acked++;
    });
  }

  /** The announcement of the blocks. @returns its bytes */
  announce(between?: readonly Uint8Array[]): Uint8Array {
    const bytes = announcement(this.#blocks, between);
    this.send(DataKind.stream, bytes);
    return bytes;
  }

  begin(packs = false): void {
    this.encoder.begin(this.#bodyAt, PAGES_BODY_BYTES_MAX, packs);
  }

  /** A version of a page into the open batch, which must have room; the digest counts it. @param content  none: zeros */
  add(page: number, content?: Uint8Array): Offer {
    const block = this.#numbers.blockOf(page);
    const offset = this.#numbers.offsetOf(page);
    const { bytes, addresses, hashes } = this.#kernels;
    this.newest.set(page, content?.slice() ?? new Uint8Array(0));
    if (content === undefined) {
      this.#proof.page(block, offset, PageKind.zero, bytes, 0, 0);
      return this.encoder.addZero(page);
    }
    bytes.set(content, this.#pageAt);
    this.#proof.page(block, offset, PageKind.page, bytes, this.#pageAt, this.#pageAt + PAGE_BYTES);
    this.#proof.settle();
    addresses[0] = this.#pageAt;
    this.#kernels.hashPages(1);
    const offer = this.encoder.add(page, this.#pageAt, hashes[0]!, hashes[1]!);
    assert.notEqual(offer, Offer.full, "the test keeps its batches small");
    return offer;
  }

  /** The open batch as a frame's payload. @param packs  by zstd, when that makes it shorter */
  finish(packs = false): Uint8Array {
    const { bytes: bodyBytes, entries } = this.encoder.finish();
    const body = this.#kernels.bytes.slice(this.#bodyAt, this.#bodyAt + bodyBytes);
    const short = packs ? packed(body) : body;
    if (short.length < bodyBytes) return pagesFrame(PagesForm.zstd, short, { entries, bodyBytes });
    return pagesFrame(PagesForm.plain, body, { entries });
  }

  /** A batch of its own for these versions, sent. */
  batch(versions: readonly (readonly [page: number, content?: Uint8Array])[], packs = false): void {
    this.begin(packs);
    for (const [page, content] of versions) this.add(page, content);
    if (this.encoder.entries > 0) this.send(DataKind.pages, this.finish(packs));
  }

  /** A version as QEMU's record in a frame of its own. @param continues  it does not name its block */
  pass(page: number, content: Uint8Array, continues: boolean): void {
    const block = this.#numbers.blockOf(page);
    const offset = this.#numbers.offsetOf(page);
    const { bytes } = this.#kernels;
    this.newest.set(page, content.slice());
    bytes.set(content, this.#pageAt);
    this.#proof.page(block, offset, PageKind.page, bytes, this.#pageAt, this.#pageAt + PAGE_BYTES);
    this.#proof.settle();
    this.store.forget(page);
    const head = { block, offset, kind: PageKind.page, previous: continues ? block : undefined };
    const prefix = encodeRecordsPrefix({ context: continues ? block.index : undefined, pages: 1 });
    this.send(DataKind.records, Buffer.concat([prefix, encodeRecord(head, content)]));
  }

  /** These pages as the store has them, in answer to `again`. */
  repair(pages: readonly number[]): void {
    this.begin();
    for (const page of pages) this.encoder.addRaw(page, this.store.at(page));
    const { bytes, entries } = this.encoder.finish();
    const body = this.#kernels.bytes.slice(this.#bodyAt, this.#bodyAt + bytes);
    this.send(DataKind.pages, pagesFrame(PagesForm.repair, body, { entries }));
  }

  /** @param place  of the barrier, as in docs/wire.md */
  digest(place: number): void {
    const { pages, lo, hi } = this.#proof.total();
    this.send(DataKind.digest, encodeProof({ place, answer: 0, pages, lo, hi }));
  }

  /** The next frame of this kind that has not been asked for. Fails after 20 s. */
  async next(kind: DataKind): Promise<Buffer> {
    for (;;) {
      const at = this.heard.findIndex((frame) => frame.kind === kind);
      if (at >= 0) return this.heard.splice(at, 1)[0]!.payload;
      await once(this.#changes, "change", { signal: AbortSignal.timeout(20_000) });
    }
  }

  abort(error: GodwitError): Promise<unknown> {
    this.#link.abort(error);
    return this.ended;
  }

  #heard(frame: ReceivedFrame): void {
    this.heard.push({ kind: frame.kind, payload: Buffer.from(frame.payload) });
    frame.release();
    this.#changes.emit("change");
  }
}
