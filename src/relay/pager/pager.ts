import { PAGE_BYTES, type PageKernels } from "../../../kernels/mod.ts";
import type { LinkStats } from "../../link/mod.ts";
import { Offer, type PageEncoder, type PageNumbers, type PageStore } from "../../pages/mod.ts";
import {
  makePushOrder,
  PageSet,
  type PagingFigures,
  type PushOrder,
  type PushOrderName,
} from "../../paging/mod.ts";
import type { RamBlock } from "../../stream/mod.ts";
import { DataKind, encodePagesPrefix, PAGES_BODY_BYTES_MAX, PagesForm } from "../../wire/mod.ts";
import type { BatchRoom } from "../engine/batches.ts";
import type { Outgoing } from "../engine/outgoing.ts";
import { type Packer, worthPacking } from "../engine/packer.ts";
import type { Run } from "../engine/run.ts";
import { PushPace } from "./pace.ts";
import { PagePool } from "./pool.ts";

/** Pages that one run of records may hold: as many must fit into the pool before more is read. */
const RUN_PAGES = 64;
/** A frame of pushes is a part of what may be on its way, and has so many pages. */
const FRAMES_IN_WINDOW = 3;
const PAGES_MIN = 2;
const PAGES_MAX = 30;
/** QEMU takes a few µs to place a page of zeros: many at once would stand before an answer. */
const ZEROS_MAX = 256;
/** zstd's level by what the line carries: above these rates the next, above the last none. */
const LEVELS = [
  { toBytesPerSec: 50e6, level: 2 },
  { toBytesPerSec: 150e6, level: 1 },
] as const;
/** The guest has asked for nothing for so long: an order that waits for it pushes by itself. */
const QUIET_MS = 1000;
const QUIET_LOOK_MS = 250;
/** Sent with content so often before the switch: the guest is at work there. */
const HOT_SENDS_MIN = 2;

export interface PagerOptions {
  readonly kernels: PageKernels;
  readonly pool: { readonly start: number; readonly bytes: number };
  readonly numbers: PageNumbers;
  readonly store: PageStore;
  /** Frozen. */
  readonly encoder: PageEncoder;
  readonly bodies: BatchRoom;
  readonly packer: Packer;
  readonly outgoing: Outgoing;
  readonly order: PushOrderName;
  /** Monotonic, ms. */
  readonly now: () => number;
  readonly link: () => LinkStats | undefined;
  /** There may be room for more of QEMU's stream. */
  readonly room: () => void;
  /** The source has given everything, and all of it was sent. Once. */
  readonly settled: () => void;
}

/**
 * Serves a guest that runs at the target already: takes the pages that are missing there from the stopped source, answers
 * requests at once and pushes the rest. Each page leaves exactly once. docs/adr/0007.
 */
export class Pager {
  readonly #options: PagerOptions;
  readonly #pace: PushPace;
  readonly #pool: PagePool;
  /** Not sent. Of these: here, and here as zeros. */
  readonly #missing: PageSet;
  readonly #waiting: PageSet;
  readonly #zeros: PageSet;
  /** Asked for before the source QEMU gave them. */
  readonly #asked = new Set<number>();
  #order: PushOrder | undefined;
  #ended = false;
  /** Everything that was missing at the switch was sent. */
  settled = false;
  #closed = false;
  /** Bodies that are being packed, as they will probably cross. */
  #packing = 0;
  #packingBytes = 0;
  /** What packing made of bodies, lately. */
  #share = 0.6;
  #quiet: NodeJS.Timeout | undefined;
  #lastAskedMs: number;
  readonly #startedMs: number;
  #drainMs: number | null = null;
  #outstanding = 0;
  #answered = 0;
  #pushed = 0;
  #late = 0;
  #passedOn = 0;

  constructor(options: PagerOptions) {
    this.#options = options;
    const { kernels, pool, numbers } = options;
    this.#pace = new PushPace(options.link()?.deliveredBytesPerSec);
    this.#pool = new PagePool(kernels, pool, numbers.total);
    this.#missing = new PageSet(numbers.total);
    this.#waiting = new PageSet(numbers.total);
    this.#zeros = new PageSet(numbers.total);
    this.#startedMs = options.now();
    this.#lastAskedMs = this.#startedMs;
  }

  /** The target throws these pages away: the source will give them again. Before `begin`. */
  discard(block: RamBlock, offset: number, bytes: number): void {
    this.#missing.addRange(this.#options.numbers.number(block, offset), bytes / PAGE_BYTES);
  }

  /** All discards are known; pages come from here on. */
  begin(): void {
    this.#outstanding = this.#missing.count;
    this.#order = makePushOrder(this.#options.order, this.#waiting, { firstPages: this.#hotPages() });
    this.#quiet = setInterval(() => this.#lookForQuiet(), QUIET_LOOK_MS);
    this.#quiet.unref();
  }

  /** Whether another run of records can be taken. */
  get hasRoom(): boolean {
    return this.#pool.room >= RUN_PAGES;
  }

  /**
   * Pages that the source QEMU has given.
   * @returns the first that it must not give (not discarded, or given already), -1: all is well
   */
  take(run: Run): number {
    for (let i = 0; i < run.count; i++) {
      const page = run.numbers[i]!;
      if (!this.#missing.has(page) || !this.#waiting.add(page)) return page;
      if (run.zeros[i] === 1) this.#zeros.add(page);
      else this.#pool.put(page, run.addresses[i]!);
      if (this.#asked.size > 0 && this.#asked.delete(page)) this.#answer(page);
    }
    this.#pump();
    return -1;
  }

  /** The source QEMU has given its last page. @returns whether it has given all that were discarded */
  end(): boolean {
    this.#ended = true;
    this.#drainMs = this.#options.now() - this.#startedMs;
    if (this.#waiting.count !== this.#missing.count) return false;
    this.#pump();
    return true;
  }

  /** The guest waits for this page. @returns false: only the source QEMU can give it yet */
  request(page: number): boolean {
    const nowMs = this.#options.now();
    this.#lastAskedMs = nowMs;
    this.#pace.asked(nowMs);
    this.#order?.fault(page);
    if (!this.#missing.has(page)) {
      this.#late++;
      return true;
    }
    if (this.#options.outgoing.over) return true;
    if (!this.#waiting.has(page)) {
      this.#asked.add(page);
      this.#passedOn++;
      return false;
    }
    this.#answer(page);
    this.#pump();
    return true;
  }

  /** The target lacked what these were encoded against (a bug elsewhere): they go again as they are. @returns one that is gone, or -1 */
  again(pages: readonly number[]): number {
    const { encoder, bodies } = this.#options;
    for (const page of pages) {
      const at = this.#pool.at(page);
      if (at === 0) return page;
      encoder.begin(bodies.at, PAGES_BODY_BYTES_MAX, false);
      encoder.addRaw(page, at);
      this.#send(PagesForm.repair);
    }
    return -1;
  }

  figures(): PagingFigures {
    return {
      order: this.#options.order,
      outstanding: this.#outstanding,
      answered: this.#answered,
      pushed: this.#pushed,
      late: this.#late,
      passedOn: this.#passedOn,
      drainMs: this.#drainMs,
      poolBytesMax: this.#pool.bytesMax,
      faultTimes: null,
    };
  }

  /** Bytes that wait here, unpacked. */
  get heldBytes(): number {
    return (this.#waiting.count - this.#zeros.count) * PAGE_BYTES;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#quiet);
  }

  /** A frame of its own, ahead of all pushes. */
  #answer(page: number): void {
    const { encoder, bodies } = this.#options;
    encoder.begin(bodies.at, PAGES_BODY_BYTES_MAX, false);
    this.#add(page);
    this.#answered++;
    this.#send(PagesForm.answer);
  }

  #send(form: PagesForm): void {
    const { encoder, bodies, outgoing } = this.#options;
    const { entries, bytes } = encoder.finish();
    const body = bodies.take(bytes);
    const prefix = encodePagesPrefix({ form, entries, bodyBytes: bytes });
    this.#pace.sent(bytes, this.#options.now());
    outgoing.now(DataKind.pages, [prefix, body.bytes], () => {
      body.release();
      this.#acknowledged(bytes);
    });
  }

  /** Puts it into the open batch, and out of what is missing. */
  #add(page: number): void {
    const { encoder } = this.#options;
    const zeros = this.#zeros.delete(page);
    const offer = zeros ? encoder.addZero(page) : encoder.add(page, this.#pool.at(page), 0, 0);
    if (offer !== Offer.added) throw new Error(`page ${page} did not go into its batch`);
    if (!zeros) this.#pool.spend(page);
    this.#waiting.delete(page);
    this.#missing.delete(page);
  }

  /** Pushes as long as little enough is on its way. */
  #pump(): void {
    const { bodies, link, now, outgoing } = this.#options;
    // Without a link a page would count as sent.
    if (this.#closed || outgoing.over || this.#order === undefined) return;
    const nowMs = now();
    const windowBytes = this.#pace.windowBytes(nowMs, link()?.roundTripMsMin);
    while (this.#waiting.count > 0) {
      if (this.#pace.inFlightBytes + this.#packingBytes >= windowBytes || bodies.low) {
        this.#pace.limited();
        break;
      }
      if (!this.#push(windowBytes)) break;
    }
    this.#settle();
  }

  /** One frame of pushes. @returns false when the order has none to push */
  #push(windowBytes: number): boolean {
    const { encoder, bodies, packer, outgoing } = this.#options;
    const level = this.#level();
    const wanted = windowBytes / FRAMES_IN_WINDOW / (PAGE_BYTES * (level > 0 ? this.#share : 1));
    const pagesMax = Math.min(PAGES_MAX, Math.max(PAGES_MIN, Math.floor(wanted)));
    encoder.begin(bodies.at, PAGES_BODY_BYTES_MAX, level > 0);
    let contents = 0;
    let zeros = 0;
    while (contents < pagesMax && zeros < ZEROS_MAX) {
      const page = this.#order!.next();
      if (page < 0) break;
      if (this.#zeros.has(page)) zeros++;
      else contents++;
      this.#add(page);
    }
    this.#pushed += contents + zeros;
    const { entries, bytes } = encoder.finish();
    if (entries === 0) return false;
    const body = bodies.take(bytes);
    const plain = encodePagesPrefix({ form: PagesForm.plain, entries, bodyBytes: bytes });
    if (level === 0 || !worthPacking(bytes)) {
      this.#pace.sent(bytes, this.#options.now());
      outgoing.send(DataKind.pages, [plain, body.bytes], () => {
        body.release();
        this.#acknowledged(bytes);
      });
      return true;
    }
    const expectedBytes = bytes * this.#share;
    this.#packing++;
    this.#packingBytes += expectedBytes;
    packer.pack(body.bytes, level, (packed) => {
      this.#packing--;
      this.#packingBytes -= expectedBytes;
      const crossing = packed?.length ?? bytes;
      this.#share += (crossing / bytes - this.#share) / 8;
      const prefix =
        packed === undefined ? plain : encodePagesPrefix({ form: PagesForm.zstd, entries, bodyBytes: bytes });
      this.#pace.sent(crossing, this.#options.now());
      outgoing.send(DataKind.pages, [prefix, packed ?? body.bytes], () => {
        if (packed === undefined) body.release();
        this.#acknowledged(crossing);
      });
      if (packed !== undefined) body.release();
      this.#pump();
      this.#options.room();
    });
    return true;
  }

  #level(): number {
    const rate = this.#pace.bytesPerSec ?? 0;
    return LEVELS.find(({ toBytesPerSec }) => rate <= toBytesPerSec)?.level ?? 0;
  }

  #acknowledged(bytes: number): void {
    this.#pace.acknowledged(bytes, this.#options.now());
    this.#pump();
    this.#options.room();
  }

  #settle(): void {
    if (!this.#ended || this.settled || this.#missing.count > 0 || this.#packing > 0) return;
    this.settled = true;
    clearInterval(this.#quiet);
    this.#options.settled();
  }

  #lookForQuiet(): void {
    if (this.#options.now() - this.#lastAskedMs < QUIET_MS) return;
    this.#order?.release();
    this.#pump();
  }

  /** Those that were sent most often first. */
  #hotPages(): Int32Array {
    const { store } = this.#options;
    const bySends: number[][] = [];
    for (let page = this.#missing.nextAt(0); page >= 0; page = this.#missing.nextAt(page + 1)) {
      const sends = store.sends(page);
      if (sends < HOT_SENDS_MIN) continue;
      bySends[sends] ??= [];
      bySends[sends].push(page);
    }
    return Int32Array.from(bySends.reverse().flat());
  }
}
