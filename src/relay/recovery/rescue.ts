import { randomBytes } from "node:crypto";
import { loadKernels, PAGE_BYTES } from "../../../kernels/mod.ts";
import { GodwitError, isGodwitError } from "../../errors/mod.ts";
import {
  Arena,
  connectLink,
  type Link,
  type LinkHandler,
  type LinkTls,
  type ReceivedFrame,
} from "../../link/mod.ts";
import { PageNumbers } from "../../pages/mod.ts";
import { makePushOrder, type PushOrder } from "../../paging/mod.ts";
import {
  Command,
  emptyEnd,
  encodeCommand,
  encodeEof,
  encodePing,
  encodeRecvBitmap,
  PageKind,
  putRecordHead,
  type RamBlock,
  type ReturnMessage,
  ReturnPathReader,
} from "../../stream/mod.ts";
import {
  DataKind,
  decodeProof,
  encodeProof,
  encodeRecordsPrefix,
  PAYLOAD_BYTES_MAX,
  RECORDS_PREFIX_BYTES,
} from "../../wire/mod.ts";
import { splitAddress } from "../address.ts";
import { decodeSummary, encodeGreeting } from "../greeting.ts";
import type { RelayHooks, RelayOutcome } from "../hooks.ts";
import { Meter } from "../meter.ts";
import { PushPace } from "../pager/pace.ts";
import { barrierAt, placeOf } from "../places.ts";
import { MemoryProof } from "../proof.ts";
import { streamError } from "../strangers.ts";
import type { RelayFigures, RescueRelayOptions } from "../types.ts";
import { Bitmaps } from "./bitmaps.ts";
import { SourceMemory } from "./sourceMemory.ts";

const MIB = 2 ** 20;
const LINK_BYTES = 2 * MIB;
/** Frames that wait for their acknowledgement. */
const FRAMES_BYTES = 4 * MIB;
/** A frame of pushes: a part of what may be on its way. */
const PUSH_PAGES = 8;
/** QEMU's own number for the first PING of a migration; any would do. */
const PING = 1;
/** So often an order that waits for the guest is told to push by itself. */
const QUIET_MS = 1_000;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/**
 * Speaks to the target relay in the place of a source QEMU that is recovering a post-copy: asks the target QEMU what it has,
 * and sends exactly the rest, out of the memory of the source QEMU, which takes no part. docs/adr/0008.
 */
export class Rescue implements LinkHandler {
  readonly outcome: Promise<RelayOutcome>;
  readonly meter = new Meter("source");
  readonly #options: RescueRelayOptions;
  readonly #secure: { readonly tls?: LinkTls };
  readonly #hooks: RelayHooks;
  readonly #memory: SourceMemory;
  readonly #kernels = loadKernels({ memoryBytes: 64 * 1024 + LINK_BYTES + FRAMES_BYTES + MIB });
  readonly #frames: Arena;
  readonly #linkArena: Arena;
  readonly #proof: MemoryProof;
  readonly #seed = { low: randomBytes(4).readUInt32LE(), high: randomBytes(4).readUInt32LE() };
  readonly #numbers: PageNumbers;
  readonly #bitmaps: Bitmaps;
  readonly #return: ReturnPathReader;
  readonly #givenUp = new AbortController();
  #order: PushOrder | undefined;
  /** Asked for before the target was ready to take pages. */
  readonly #early: number[] = [];
  #link: Link | undefined;
  /** So that little stands before an answer. */
  readonly #pace = new PushPace(undefined);
  #resumed = false;
  #ended = false;
  #over = false;
  #quiet: NodeJS.Timeout | undefined;
  #resolve: (outcome: RelayOutcome) => void = () => {};

  /** @throws GodwitError GUEST_MEMORY_CLOSED */
  constructor(options: RescueRelayOptions, hooks: RelayHooks, secure: { readonly tls?: LinkTls }) {
    this.#options = options;
    this.#secure = secure;
    this.#hooks = hooks;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#memory = new SourceMemory(options.memory);
    const { bytes, freeStart } = this.#kernels;
    const framesAt = freeStart + LINK_BYTES;
    this.#linkArena = new Arena(bytes, MIB / 2, { start: freeStart, end: framesAt });
    this.#frames = new Arena(bytes, PAYLOAD_BYTES_MAX, { start: framesAt, end: framesAt + FRAMES_BYTES });
    const { blocks } = options.section;
    this.#numbers = new PageNumbers(blocks);
    this.#bitmaps = new Bitmaps(blocks, this.#numbers);
    this.#proof = new MemoryProof(this.#kernels, this.#seed);
    this.#proof.setBlocks(blocks);
    this.#return = new ReturnPathReader(
      { message: (message) => this.#message(message), bytes: () => undefined },
      { blocks },
    );
    this.meter.ramBytes = blocks.reduce((sum, block) => sum + block.bytes, 0);
    this.meter.postcopy = true;
  }

  async start(): Promise<void> {
    const { options, seed } = { options: this.#options, seed: this.#seed };
    const { host, port } = splitAddress(options.to);
    try {
      const { link } = await connectLink(
        {
          ...{ host, port, ticket: options.ticket, insecure: options.insecure },
          ...this.#secure,
          greeting: encodeGreeting({ seed, pageCacheBytes: 0 }),
          reconnectForMs: options.postcopyReconnectForMs,
          bandwidthBytesPerSec: options.bandwidthBytesPerSec,
          arena: this.#linkArena,
          giveUp: this.#givenUp.signal,
        },
        this,
      );
      if (this.#over) return link.abort(new GodwitError("CANCELLED", {}));
      this.#link = link;
      link.setReconnectFor(options.postcopyReconnectForMs);
      link.prompt();
      this.#hooks.event({ event: "linkUp" });
      this.#ask(link);
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      this.#fail(error);
    }
  }

  setBandwidth(bytesPerSec: number): void {
    this.#link?.setBandwidth(bytesPerSec);
  }

  abandon(error: GodwitError): void {
    this.#fail(error);
  }

  figures(): RelayFigures {
    if (this.#link !== undefined) {
      const { sentBytes, receivedBytes, reconnects, inFlightBytes } = this.#link.stats;
      this.meter.wireBytes.forward = sentBytes;
      this.meter.wireBytes.backward = receivedBytes;
      this.meter.reconnects = reconnects;
      this.meter.backlogBytes = inFlightBytes;
    }
    return this.meter.figures();
  }

  // The target's words

  frame(frame: ReceivedFrame): void {
    try {
      this.#received(frame);
    } catch (cause) {
      this.#fail(streamError(cause));
    }
    frame.release();
  }

  #received({ kind, payload }: ReceivedFrame): void {
    if (kind === DataKind.returnPath) {
      if (this.#return.push(payload, 0, payload.length) !== payload.length)
        throw new GodwitError("LINK_FRAME", { rule: "return_path_split" });
    } else if (kind === DataKind.verdict) this.#verdict(payload);
    else if (kind === DataKind.summary) {
      this.meter.heardPeer(decodeSummary(payload));
      this.#complete();
    } else throw new GodwitError("LINK_FRAME", { rule: "kind_at_source" });
  }

  #message(message: ReturnMessage): void {
    if (message.type === "bitmap") this.#bitmap(message.block, message.bits);
    else if (message.type === "resumeAck") this.#resume();
    else if (message.type === "request")
      this.#request(this.#return.lastBlock!, message.offset, message.bytes);
    else if (message.type === "shut" && message.status === 0) this.#hooks.event({ event: "targetLoaded" });
  }

  #ask(link: Link): void {
    const { blocks } = this.#options.section;
    const asks = blocks.map(({ name }) => encodeRecvBitmap(name));
    for (const bytes of [encodeCommand(Command.openReturnPath), encodePing(PING), ...asks])
      link.send(DataKind.stream, [bytes]);
  }

  #bitmap(block: string, bits: Uint8Array): void {
    if (!this.#bitmaps.take(block, bits)) throw new GodwitError("LINK_FRAME", { rule: "bitmap_twice" });
    if (!this.#bitmaps.complete) return;
    this.#link?.send(DataKind.stream, [encodeCommand(Command.postcopyResume)]);
  }

  /** The target QEMU takes pages again. */
  #resume(): void {
    const { missing } = this.#bitmaps;
    if (!this.#bitmaps.complete || this.#resumed)
      throw new GodwitError("LINK_FRAME", { rule: "resume_ack_order" });
    this.#resumed = true;
    this.#order = makePushOrder(this.#options.pushOrder, missing);
    this.#hooks.event({ event: "recovered", pages: missing.count });
    this.#quiet = setInterval(() => {
      this.#order?.release();
      this.#pump();
    }, QUIET_MS);
    this.#pace.begin();
    for (const page of this.#early) this.#answer(page);
    this.#pump();
  }

  #request(name: string, offset: number, bytes: number): void {
    this.meter.faults++;
    this.#pace.asked(performance.now());
    const block = this.#options.section.blocks.find((known) => known.name === name) as RamBlock;
    const first = this.#numbers.number(block, offset);
    for (let page = first; page < first + bytes / PAGE_BYTES; page++) {
      this.#order?.fault(page);
      if (this.#resumed) this.#answer(page);
      else this.#early.push(page);
    }
    this.#pump();
  }

  #verdict(payload: Uint8Array): void {
    const proof = decodeProof(payload);
    if (typeof proof === "string") throw new GodwitError("LINK_FRAME", { rule: proof });
    const barrier = barrierAt(proof.place);
    if (barrier === undefined) throw new GodwitError("LINK_FRAME", { rule: "proof_place" });
    const equal = proof.answer === 1;
    this.meter.countVerdict(equal);
    this.#hooks.event({ event: "verdict", barrier, equal });
  }

  // Pages

  /** A page on its way, or there, needs no answer. */
  #answer(page: number): void {
    if (this.#bitmaps.missing.has(page)) this.#send([page]);
  }

  #pump(): void {
    while (this.#resumed && !this.#over && this.#frames.freeChunks > 1) {
      const roundTripMs = this.#link?.stats.roundTripMs;
      if (this.#pace.inFlightBytes >= this.#pace.windowBytes(performance.now(), roundTripMs)) {
        this.#pace.limited(performance.now());
        break;
      }
      const pages: number[] = [];
      while (pages.length < PUSH_PAGES) {
        const page = this.#order!.next();
        if (page < 0) break;
        this.#bitmaps.missing.delete(page);
        pages.push(page);
      }
      if (pages.length === 0) break;
      this.#send(pages);
    }
    this.#end();
  }

  /** One frame. Answers leave whatever is on its way. */
  #send(pages: readonly number[]): void {
    const at = this.#frames.take();
    // So many answers at once: the order of pushes brings the page soon.
    if (at === undefined) return;
    for (const page of pages) this.#bitmaps.missing.delete(page);
    const body = this.#records(pages, at);
    const prefix = encodeRecordsPrefix({ context: undefined, pages: pages.length });
    this.#pace.sent(body.length, performance.now());
    this.#link?.send(DataKind.records, [prefix, body], () => {
      this.#frames.release(at);
      this.#pace.acknowledged(body.length, performance.now());
      this.#pump();
    });
  }

  /** As QEMU's records; the first names its block. */
  #records(pages: readonly number[], start: number): Uint8Array {
    const { bytes: memory } = this.#kernels;
    const room = memory.subarray(start, start + PAYLOAD_BYTES_MAX - RECORDS_PREFIX_BYTES);
    let previous: RamBlock | undefined;
    let at = 0;
    for (const page of pages) {
      const block = this.#numbers.blockOf(page);
      const offset = this.#numbers.offsetOf(page);
      const head = { block, offset, previous };
      const bodyAt = putRecordHead(room, at, { ...head, kind: PageKind.page, bodyBytes: PAGE_BYTES });
      const content = room.subarray(bodyAt, bodyAt + PAGE_BYTES);
      this.#memory.read(block.name, offset, content);
      if (ZERO_PAGE.equals(content)) {
        const zeroAt = putRecordHead(room, at, { ...head, kind: PageKind.zero, bodyBytes: 1 });
        room[zeroAt] = 0;
        this.#tell(block, offset, PageKind.zero, start + zeroAt, 1);
        at = zeroAt + 1;
      } else {
        this.#tell(block, offset, PageKind.page, start + bodyAt, PAGE_BYTES);
        at = bodyAt + PAGE_BYTES;
      }
      previous = block;
    }
    this.#proof.settle();
    this.meter.streamBytes += at;
    return room.subarray(0, at);
  }

  #tell(block: RamBlock, offset: number, kind: PageKind, at: number, bytes: number): void {
    this.meter.countPage(kind);
    this.#proof.page(block, offset, kind, this.#kernels.bytes, at, at + bytes);
  }

  /** All has been sent: what it was is compared, and the stream ends as QEMU's would. */
  #end(): void {
    if (!this.#resumed || this.#ended || this.#over || this.#bitmaps.missing.count > 0) return;
    this.#ended = true;
    clearInterval(this.#quiet);
    const { pages, lo, hi } = this.#proof.total();
    const digest = encodeProof({ place: placeOf("end"), answer: 0, pages, lo, hi });
    this.#link?.send(DataKind.digest, [digest]);
    this.#link?.send(DataKind.stream, [emptyEnd(this.#options.section.id), encodeEof()]);
  }

  // The link

  drain(): void {
    this.#pump();
  }

  connection(state: "lost" | "resumed", detail: string): void {
    this.#hooks.event({ event: state === "lost" ? "linkLost" : "linkResumed", detail });
  }

  ended(error: GodwitError | undefined): void {
    this.#fail(error ?? new GodwitError("LINK_FRAME", { rule: "finish_early" }));
  }

  #complete(): void {
    if (this.#over) return;
    this.#over = true;
    // The target has everything: whether the goodbye arrives changes nothing.
    const settle = () => this.#settle(undefined);
    void this.#link?.finish().then(settle, settle);
  }

  #fail(error: GodwitError): void {
    if (this.#over) return;
    this.#over = true;
    this.#givenUp.abort();
    this.#link?.abort(error);
    this.#settle(error);
  }

  #settle(error: GodwitError | undefined): void {
    clearInterval(this.#quiet);
    this.#memory.close();
    this.#resolve({ figures: this.figures(), error });
  }
}
