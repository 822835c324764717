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
import type { Gathered } from "./gathered.ts";
import { PushPace } from "./pace.ts";
import { PackTrial } from "./packTrial.ts";
import { PagePool } from "./pool.ts";
import { type Frame, Prepared } from "./prepared.ts";
import { ZeroRate } from "./zeroRate.ts";

/** Pages that one run of records may hold: as many must fit into the pool before more is read. */
const RUN_PAGES = 64;
/** With a smaller pool nothing could ever be read. */
export const POOL_BYTES_MIN = RUN_PAGES * PAGE_BYTES;
/** A frame of pushes is a part of what may be on its way, and has so many pages. */
const FRAMES_IN_WINDOW = 3;
const PAGES_MIN = 2;
const PAGES_MAX = 30;
/** An answer with a page of zeros brings those behind it along. */
const ZEROS_IN_ANSWER = 16;
/** Zeros leave by the clock, and not in smaller bunches: a frame costs more than they do. */
const ZEROS_MS = 2;
const ZEROS_MIN = 64;
/** Made ahead, at most: so long a job in the thread pool may take without the line running dry. */
const AHEAD_BYTES_MAX = 256 * 1024;
/** What is made ahead is packed at this level, the fastest per byte saved (engine/packer.ts). */
const LEVEL = 2;
/** What waits would keep the line busy for so long: it is far behind the source. */
const BEHIND_MS = 500;
/** The guest has asked for nothing for so long: an order that waits for it pushes by itself. */
const QUIET_MS = 500;
const QUIET_LOOK_MS = 100;
/** Sent with content so often before the switch: the guest is at work there. */
const HOT_SENDS_MIN = 2;

export interface PagerOptions {
  readonly kernels: PageKernels;
  readonly pool: { readonly start: number; readonly bytes: number };
  /** Pages that have been waiting for the switch, in the same memory. */
  readonly gathered?: Gathered | undefined;
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
  /** Not sent. Of these: here with content, and here as zeros. */
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
  readonly #prepared = new Prepared();
  /** What packing made of bodies, lately. */
  #share = 0.6;
  /** The target has loaded the package. */
  #loaded = false;
  /** It has not asked for a while. */
  #released = false;
  readonly #zeroRate: ZeroRate;
  #zerosLater: NodeJS.Timeout | undefined;
  /** Whether packing pays; undefined: that is not asked yet. */
  #trial: PackTrial | undefined;
  /** Pages of the open batch of pushes. */
  #made: number[] = [];
  #quiet: NodeJS.Timeout | undefined;
  #lastAskedMs: number;
  readonly #startedMs: number;
  #drainMs: number | null = null;
  #outstanding = 0;
  #gathered = 0;
  #answered = 0;
  #pushed = 0;
  #late = 0;
  #passedOn = 0;

  constructor(options: PagerOptions) {
    this.#options = options;
    const { kernels, pool, numbers } = options;
    this.#pace = new PushPace(options.link()?.deliveredBytesPerSec);
    this.#pool = options.gathered?.pool ?? new PagePool(kernels, pool, numbers.total);
    this.#missing = new PageSet(numbers.total);
    this.#waiting = new PageSet(numbers.total);
    this.#zeros = new PageSet(numbers.total);
    this.#startedMs = options.now();
    this.#lastAskedMs = this.#startedMs;
    this.#zeroRate = new ZeroRate(this.#startedMs);
  }

  /** The target throws these pages away: the source will give them again. Before `begin`. */
  discard(block: RamBlock, offset: number, bytes: number): void {
    const { numbers, gathered } = this.#options;
    const first = numbers.number(block, offset);
    this.#missing.addRange(first, bytes / PAGE_BYTES);
    if (gathered === undefined) return;
    for (let page = first; page < first + bytes / PAGE_BYTES; page++) gathered.drop(page);
  }

  /** All discards are known; pages come from here on. */
  begin(): void {
    const { gathered } = this.#options;
    this.#gathered = gathered?.count ?? 0;
    for (const page of gathered?.all() ?? []) {
      this.#missing.add(page);
      if (gathered!.zeros.has(page)) this.#zeros.add(page);
      else this.#waiting.add(page);
    }
    this.#outstanding = this.#missing.count;
    this.#order = makePushOrder(this.#options.order, this.#waiting, { firstPages: this.#hotPages() });
    this.#quiet = setInterval(() => this.#lookForQuiet(), QUIET_LOOK_MS);
    this.#quiet.unref();
  }

  /** Whether another run of records can be taken. */
  get hasRoom(): boolean {
    const toCome = this.#missing.count - this.#waiting.count - this.#zeros.count;
    return this.#pool.room >= Math.min(RUN_PAGES, toCome);
  }

  /**
   * Pages that the source QEMU has given.
   * @returns the first that it must not give (not discarded, or given already), -1: all is well
   */
  take(run: Run): number {
    for (let i = 0; i < run.count; i++) {
      const page = run.numbers[i]!;
      if (!this.#missing.has(page) || this.#waiting.has(page) || this.#zeros.has(page)) return page;
      if (run.zeros[i] === 1) this.#zeros.add(page);
      else {
        this.#waiting.add(page);
        this.#pool.put(page, run.addresses[i]!);
      }
      if (this.#asked.size > 0 && this.#asked.delete(page)) this.#answer(page);
    }
    this.#pump();
    return -1;
  }

  /** The source QEMU has given its last page. @returns whether it has given all that were discarded */
  end(): boolean {
    this.#ended = true;
    this.#drainMs = this.#options.now() - this.#startedMs;
    if (this.#waiting.count + this.#zeros.count !== this.#missing.count) return false;
    this.#pump();
    return true;
  }

  /** The target QEMU has loaded the package, and takes pages as they come. */
  packageLoaded(): void {
    this.#targetTakes();
    this.#pump();
  }

  /** The guest waits for this page. @returns false: only the source QEMU can give it yet */
  request(page: number): boolean {
    const nowMs = this.#options.now();
    this.#lastAskedMs = nowMs;
    // Its devices may ask while they are being loaded.
    this.#targetTakes();
    this.#released = false;
    this.#pace.asked(nowMs);
    this.#order?.fault(page);
    if (!this.#missing.has(page)) {
      this.#late++;
      this.#hurry(page);
      return true;
    }
    if (this.#options.outgoing.over) return true;
    if (!this.#waiting.has(page) && !this.#zeros.has(page)) {
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
      gathered: this.#gathered,
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
    return this.#waiting.count * PAGE_BYTES;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#quiet);
    clearTimeout(this.#zerosLater);
    this.#prepared.close();
  }

  /**
   * While the source gives, packing takes processor time from giving, and from a guest that waits: then it is tried only where
   * the line is far behind.
   */
  get #packs(): boolean {
    if (this.#trial === undefined) {
      const lineMs = (this.#waiting.count * PAGE_BYTES * 1000) / (this.#pace.bytesPerSec ?? Infinity);
      if (this.#ended || lineMs > BEHIND_MS) this.#trial = new PackTrial(this.#options.now());
    }
    return this.#trial?.packs === true;
  }

  #targetTakes(): void {
    if (this.#loaded) return;
    this.#loaded = true;
    this.#pace.begin();
  }

  /** A frame of its own, ahead of all pushes. */
  #answer(page: number): void {
    const { encoder, bodies } = this.#options;
    encoder.begin(bodies.at, PAGES_BODY_BYTES_MAX, !this.#packs);
    this.#answered++;
    if (this.#zeros.has(page)) this.#pushed += this.#addZeros(page, ZEROS_IN_ANSWER) - 1;
    else this.#add(page);
    this.#send(PagesForm.answer);
  }

  /** What is in the open batch leaves, unpacked. */
  #send(form: PagesForm, contents = 0, paced = true): void {
    const { encoder, bodies } = this.#options;
    const { entries, bytes } = encoder.finish();
    const body = bodies.take(bytes);
    const prefix = encodePagesPrefix({ form, entries, bodyBytes: bytes });
    this.#leave([prefix, body.bytes], bytes, contents, () => body.release(), paced);
  }

  /**
   * @param contents  pages with content that were pushed in it
   * @param paced  not of zeros: they have a rate of their own, and the line would never be seen empty for them
   */
  #leave(
    parts: readonly Uint8Array[],
    bytes: number,
    contents: number,
    release: (() => void) | undefined,
    paced = true,
  ): void {
    const { outgoing, now, room } = this.#options;
    if (paced) this.#pace.sent(bytes, now());
    const done = (): void => {
      release?.();
      if (paced) this.#pace.acknowledged(bytes, now());
      this.#trial?.delivered(contents, now());
      this.#pump();
      room();
    };
    // Nothing may overtake the package, which may still wait there.
    if (outgoing.empty || this.#loaded) outgoing.now(DataKind.pages, parts, done);
    else outgoing.send(DataKind.pages, parts, done);
  }

  /** It is in no frame, or in one that was made ahead: that one leaves first. */
  #hurry(page: number): void {
    const frame = this.#prepared.of(page);
    if (frame === undefined) return;
    frame.urgent = true;
    if (frame.parts === undefined) return;
    this.#prepared.takeOut(frame);
    this.#leave(frame.parts, frame.bytes, frame.pages.length, frame.release);
  }

  /** Puts it into the open batch, and out of what is missing. */
  #add(page: number): void {
    const { encoder } = this.#options;
    if (encoder.add(page, this.#pool.at(page), 0, 0) !== Offer.added)
      throw new Error(`page ${page} did not go into its batch`);
    this.#pool.spend(page);
    this.#waiting.delete(page);
    this.#missing.delete(page);
  }

  /** Puts a run of zeros into the open batch, from this page on. @returns how many, at most `most` */
  #addZeros(first: number, most: number): number {
    const { encoder } = this.#options;
    let page = first;
    while (page < first + most && this.#zeros.has(page)) {
      this.#zeros.delete(page);
      if (encoder.addZero(page) !== Offer.added) throw new Error(`page ${page} did not go into its batch`);
      this.#missing.delete(page++);
    }
    return page - first;
  }

  /**
   * Pushes as long as little enough is on its way. Where the line has run half empty a frame leaves as it is; else frames are
   * packed ahead, and leave as the line empties. So packing takes just the processors' time that is left beside the line.
   */
  #pump(): void {
    const { bodies, link, now, outgoing } = this.#options;
    // Without a link a page would count as sent.
    if (this.#closed || outgoing.over || this.#order === undefined) return;
    const windowBytes = this.#pace.windowBytes(now(), link()?.roundTripMsMin);
    const pace = this.#pace;
    for (let frame = this.#next(windowBytes); frame !== undefined; frame = this.#next(windowBytes))
      this.#leave(frame.parts!, frame.bytes, frame.pages.length, frame.release);
    while (this.#waiting.count > 0 && !bodies.low) {
      if (!this.#packs || pace.inFlightBytes < windowBytes / 2) {
        if (pace.inFlightBytes >= windowBytes) break;
        if (!this.#make(windowBytes)) break;
        this.#send(PagesForm.plain, this.#made.length);
      } else if (this.#prepared.bytes < AHEAD_BYTES_MAX) {
        if (!this.#make(windowBytes)) break;
        this.#pack();
      } else break;
    }
    if (pace.inFlightBytes >= windowBytes / 2) pace.limited(now());
    this.#pushZeros();
    this.#settle();
  }

  #next(windowBytes: number): Frame | undefined {
    return this.#pace.inFlightBytes < windowBytes ? this.#prepared.take() : undefined;
  }

  /** Fills a batch with pages to push. @returns false when the order has none */
  #make(windowBytes: number): boolean {
    const { encoder, bodies } = this.#options;
    const wanted = windowBytes / FRAMES_IN_WINDOW / (PAGE_BYTES * this.#share);
    const pagesMax = Math.min(PAGES_MAX, Math.max(PAGES_MIN, Math.floor(wanted)));
    encoder.begin(bodies.at, PAGES_BODY_BYTES_MAX);
    this.#made = [];
    while (this.#made.length < pagesMax) {
      const page = this.#order!.next();
      if (page < 0) break;
      this.#made.push(page);
      this.#add(page);
    }
    this.#pushed += this.#made.length;
    return this.#made.length > 0;
  }

  /** A run of zeros from the lowest page on, as many as may leave by now. */
  #pushZeros(): void {
    if (this.#zeros.count === 0 || !this.#loaded || (this.#options.order === "demand" && !this.#released))
      return;
    const { encoder, bodies, now } = this.#options;
    this.#zerosLater ??= setTimeout(() => {
      this.#zerosLater = undefined;
      this.#pump();
    }, ZEROS_MS);
    let left = this.#zeroRate.allowed(now(), this.#pace.askedLately(now()));
    if (left < Math.min(ZEROS_MIN, this.#zeros.count) || bodies.low) return;
    encoder.begin(bodies.at, PAGES_BODY_BYTES_MAX);
    while (left > 0 && this.#zeros.count > 0) {
      const pages = this.#addZeros(this.#zeros.nextAt(0), left);
      left -= pages;
      this.#pushed += pages;
      this.#zeroRate.spend(pages);
    }
    this.#send(PagesForm.plain, 0, false);
  }

  /** What is in the open batch is packed, and leaves in its turn. */
  #pack(): void {
    const { encoder, bodies, packer } = this.#options;
    const { entries, bytes } = encoder.finish();
    const body = bodies.take(bytes);
    const plain = encodePagesPrefix({ form: PagesForm.plain, entries, bodyBytes: bytes });
    const frame: Frame = {
      ...{ pages: this.#made, parts: undefined, bytes: bytes * this.#share },
      ...{ urgent: false, release: () => body.release() },
    };
    this.#prepared.add(frame);
    if (!worthPacking(bytes)) {
      frame.parts = [plain, body.bytes];
      frame.bytes = bytes;
      return;
    }
    packer.pack(body.bytes, LEVEL, (packed) => {
      if (this.#closed) return body.release();
      frame.bytes = packed?.length ?? bytes;
      this.#share += (frame.bytes / bytes - this.#share) / 8;
      if (packed === undefined) frame.parts = [plain, body.bytes];
      else {
        const prefix = encodePagesPrefix({ form: PagesForm.zstd, entries, bodyBytes: bytes });
        frame.parts = [prefix, packed];
        frame.release = () => packer.reuse(packed);
        body.release();
      }
      if (frame.urgent) {
        this.#prepared.takeOut(frame);
        this.#leave(frame.parts, frame.bytes, frame.pages.length, frame.release);
      }
      this.#pump();
      this.#options.room();
    });
  }

  #settle(): void {
    if (!this.#ended || this.settled || this.#missing.count > 0 || this.#prepared.count > 0) return;
    this.settled = true;
    clearInterval(this.#quiet);
    this.#options.settled();
  }

  #lookForQuiet(): void {
    if (this.#options.now() - this.#lastAskedMs < QUIET_MS) return;
    this.#released = true;
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
