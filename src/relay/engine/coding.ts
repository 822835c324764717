import type { PageKernels } from "../../../kernels/mod.ts";
import { GodwitError } from "../../errors/mod.ts";
import type { LinkStats } from "../../link/mod.ts";
import {
  type Engine,
  type EngineFigures,
  HashedIndex,
  type HashedPage,
  Holding,
  makePolicy,
  Offer,
  PageEncoder,
  PageNumbers,
  type PageStore,
  PassWatch,
  type PolicyName,
  SlottedStore,
} from "../../pages/mod.ts";
import type { PagingFigures, PushOrderName } from "../../paging/mod.ts";
import { type Barrier, PageKind, type RamBlock } from "../../stream/mod.ts";
import {
  DataKind,
  encodePagesPrefix,
  PAGES_BODY_BYTES_MAX,
  PAGES_PREFIX_BYTES,
  PagesForm,
} from "../../wire/mod.ts";
import { Gathered } from "../pager/gathered.ts";
import { Pager, POOL_BYTES_MIN } from "../pager/pager.ts";
import { BatchRoom } from "./batches.ts";
import { blindKernels, type Colliding } from "./colliding.ts";
import { ASIDE } from "./effort.ts";
import { policyOf, type SourceMemory } from "./layout.ts";
import type { Outgoing } from "./outgoing.ts";
import { type Packer, worthPacking } from "./packer.ts";
import { sendRecords } from "./records.ts";
import { Run } from "./run.ts";
import type { Throttle } from "./throttle.ts";
import type { SourceEngine } from "./types.ts";

/** A batch that nothing was added to for so long leaves as it is. */
const QUIET_MS = 2;
/** Versions that a policy held back and that leave when the link has nothing else to do, at a time: about a batch. */
const PUMP_PAGES = 32;
/** Pages of content that a run of records has at most, and some. */
const RUN_PAGES_MAX = 64;
/** A policy holds back what the link carries in so many ms at most: a part of any downtime that is asked for. */
const HOLD_MS = 100;
const HOLD_BYTES_MIN = 2 ** 20;

export interface CodingOptions {
  readonly engine: Engine;
  readonly policy: PolicyName;
  readonly memory: SourceMemory;
  readonly outgoing: Outgoing;
  readonly packer: Packer;
  readonly throttle: Throttle;
  /** Makes sure that all pages told so far have been `hashed`. */
  readonly settle: () => void;
  /** Tells the digest of a version that it was not told of when it was read. @param address  0: zeros */
  readonly tell: (block: RamBlock, offset: number, address: number) => void;
  /** The digest is to forget a version that it was told of: it does not cross yet. Its halves are those of the one before. */
  readonly untell: (block: RamBlock, offset: number, oldLo: number, oldHi: number) => void;
  /** There may be room again. */
  readonly room: () => void;
  readonly pushOrder: PushOrderName;
  /** Post-copy: everything that the source QEMU had was sent. */
  readonly settled: () => void;
  /** undefined until there is one. */
  readonly link: () => LinkStats | undefined;
  /** Test hook. */
  readonly colliding: Colliding | undefined;
}

/** Whole groups of 4 KiB pages would have to be placed at once where a block has larger ones: QEMU serves these itself. */
const SERVED_PAGE_BYTES = 4096;

/** What exists once the blocks are known. */
interface Tables {
  readonly numbers: PageNumbers;
  readonly store: PageStore;
  readonly encoder: PageEncoder;
  readonly holding: Holding | undefined;
  /** From the order for post-copy on, where there is a pool. */
  gathered: Gathered | undefined;
  /** From the discards on, where there is a pool. */
  pager: Pager | undefined;
}

/** Pages leave in batches of entries, each page in the form that is shortest for what the target has already. */
export class CodingEngine implements SourceEngine {
  readonly #options: CodingOptions;
  readonly #kernels: PageKernels;
  readonly #outgoing: Outgoing;
  readonly #throttle: Throttle;
  readonly #bodies: BatchRoom;
  readonly #run = new Run();
  readonly hashed: HashedPage = (address, lo, hi, oldLo, oldHi) =>
    this.#run.hash(address, lo, hi, oldLo, oldHi);
  readonly #sweeps = new PassWatch();
  readonly #quiet: NodeJS.Timeout;
  #cacheBytes: number;
  #tables: Tables | undefined;
  #blocks: readonly RamBlock[] = [];
  /** Entries are being written to the body at `#bodies.at`; the level that they will be packed at. */
  #open = false;
  #level = 0;
  #gathers = false;
  /** Post-copy: each page goes once, and at once. */
  #postcopy = false;
  #closed = false;
  #passed = 0;
  #repaired = 0;

  constructor(options: CodingOptions) {
    this.#options = options;
    this.#kernels = options.memory.kernels;
    this.#outgoing = options.outgoing;
    this.#throttle = options.throttle;
    this.#cacheBytes = options.memory.store.bytes;
    const { batches } = options.memory;
    if (batches === undefined) throw new Error("there is no memory for batches");
    this.#bodies = new BatchRoom(batches, options.room);
    this.#quiet = setTimeout(() => this.#idle(), QUIET_MS);
    this.#quiet.unref();
  }

  agree(targetCacheBytes: number): void {
    this.#cacheBytes = Math.min(this.#cacheBytes, targetCacheBytes);
  }

  setBlocks(blocks: readonly RamBlock[]): void {
    const { engine, policy, memory, colliding } = this.#options;
    const kernels = this.#kernels;
    const numbers = new PageNumbers(blocks);
    const region = { start: memory.store.start, bytes: this.#cacheBytes };
    const store = new SlottedStore(kernels, region, numbers.total);
    const index = new HashedIndex(store.slots, colliding && { bits: colliding.indexBits });
    const compared = colliding?.blind ? blindKernels(kernels) : kernels;
    const encoder = new PageEncoder(compared, store, index, engine, numbers);
    const scope = { totalPages: numbers.total, slots: Math.floor(memory.hold.bytes / 4096) };
    const rule = makePolicy(policyOf(engine, policy), scope);
    const holding =
      rule &&
      new Holding(kernels, memory.hold, rule, numbers.total, (page, address, lo, hi) =>
        this.#emit(encoder, page, address, lo, hi),
      );
    this.#tables = { numbers, store, encoder, holding, gathered: undefined, pager: undefined };
    this.#blocks = blocks;
  }

  page(block: RamBlock, offset: number, kind: PageKind): void {
    const { numbers, holding, gathered } = this.#known;
    gathered?.drop(numbers.number(block, offset));
    const sweep = holding !== undefined && this.#sweeps.tell(block.index, offset) && this.#sweeps.pass > 1;
    this.#run.page(numbers.number(block, offset), kind === PageKind.zero, sweep);
    if (kind !== PageKind.zero && kind !== PageKind.page) this.#run.odd = true;
  }

  records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void {
    if (this.#gathers) return this.#gatherOn();
    this.#options.settle();
    const run = this.#run;
    const { pager } = this.#known;
    if (pager !== undefined) return this.#drain(pager, run);
    const aside = this.#throttle.level === ASIDE;
    if (this.#postcopy || aside || run.odd) {
      this.#passOn({ context, pages: run.count, bytes: buffer.subarray(start, end) });
    } else {
      this.#throttle.encoding(() => this.#encode(run));
      this.#quiet.refresh();
    }
    const { count, zeroCount } = run;
    run.reset();
    this.#throttle.carried(count - zeroCount, zeroCount);
  }

  flush(): void {
    this.#finish();
  }

  barrier(barrier: Barrier): void {
    const tables = this.#tables;
    if (tables === undefined) return;
    this.#flushAll(tables);
    if (this.#postcopy || barrier === "discard") this.#gathers = false;
    // Without anything that QEMU discards, or without post-copy after all.
    else this.#letGo(tables);
    if (barrier === "discard") {
      this.#postcopy = true;
      tables.encoder.freeze();
      tables.pager = this.#makePager(tables);
    } else if (barrier === "package") {
      for (const command of tables.gathered?.discards(this.#blocks, tables.numbers) ?? [])
        this.#outgoing.send(DataKind.stream, [command]);
    } else if (tables.pager?.end() === false) {
      const problem = "it ended before each of them had come";
      throw new GodwitError("POSTCOPY_ACCOUNT", { problem });
    }
  }

  serve(): void {
    const { gathered, pager, numbers } = this.#known;
    pager?.begin();
    for (const page of pager === undefined ? [] : (gathered?.all() ?? []))
      this.#options.tell(numbers.blockOf(page), numbers.offsetOf(page), gathered!.pool.at(page));
    this.#options.settle();
    this.#run.reset();
  }

  gather(): void {
    const tables = this.#tables;
    if (tables === undefined || tables.gathered !== undefined || this.#postcopy || !this.#serves) return;
    const { numbers, holding } = tables;
    const gathered = new Gathered(this.#kernels, this.#options.memory.pool, numbers.total);
    tables.gathered = gathered;
    holding?.hand(gathered.room, (page, address, oldLo, oldHi) => {
      gathered.take(page, address);
      this.#options.untell(numbers.blockOf(page), numbers.offsetOf(page), oldLo, oldHi);
    });
    this.#flushAll(tables);
    this.#gatherOn();
  }

  get gathers(): boolean {
    return this.#gathers;
  }

  gathered(block: RamBlock, offset: number, address: number): void {
    const { gathered, numbers } = this.#known;
    gathered!.take(numbers.number(block, offset), address);
  }

  /** A run is as a whole gathered, or not at all. */
  #gatherOn(): void {
    this.#gathers = this.#known.gathered!.room >= RUN_PAGES_MAX;
  }

  /** What was gathered leaves as if it had just been read. */
  #letGo({ gathered, numbers }: Tables): void {
    this.#gathers = false;
    if (gathered === undefined) return;
    const run = this.#run;
    let pages = [...gathered.all()];
    for (; pages.length > 0; pages = pages.slice(RUN_PAGES_MAX)) {
      for (const page of pages.slice(0, RUN_PAGES_MAX)) {
        const address = gathered.pool.at(page);
        run.page(page, address === 0, false);
        this.#options.tell(numbers.blockOf(page), numbers.offsetOf(page), address);
      }
      this.#options.settle();
      this.#encode(run);
      run.reset();
    }
    this.#known.gathered = undefined;
    this.#flushAll(this.#known);
  }

  discarded(block: RamBlock, offset: number, bytes: number): void {
    this.#tables?.pager?.discard(block, offset, bytes);
  }

  packageLoaded(): void {
    this.#tables?.pager?.packageLoaded();
  }

  request(block: RamBlock, offset: number): boolean {
    const { numbers, pager } = this.#known;
    return pager?.request(numbers.number(block, offset)) ?? false;
  }

  get serving(): boolean {
    return this.#tables?.pager?.settled === false;
  }

  again(pages: readonly number[]): void {
    const { store, encoder, numbers, pager } = this.#known;
    this.#finish();
    if (pager !== undefined) {
      const lost = pager.again(pages.filter((page) => page < numbers.total));
      if (lost >= 0) throw new GodwitError("BASE_LOST", { page: lost });
      return;
    }
    for (const page of pages) {
      if (page >= numbers.total) throw new GodwitError("LINK_FRAME", { rule: "again_page" });
      // Zeros need no base: they are on their way already.
      if (store.isZero(page)) continue;
      const address = store.at(page);
      if (address === 0) throw new GodwitError("BASE_LOST", { page });
      if (!this.#open) this.#begin(encoder, 0);
      if (encoder.addRaw(page, address) === Offer.full) {
        this.#finish(PagesForm.repair);
        this.#begin(encoder, 0);
        encoder.addRaw(page, address);
      }
      this.#repaired++;
    }
    this.#finish(PagesForm.repair);
  }

  get hasRoom(): boolean {
    const pager = this.#tables?.pager;
    if (pager !== undefined) return pager.hasRoom;
    if (this.#postcopy || this.#throttle.level === ASIDE) return this.#outgoing.hasRoom(false);
    return this.#outgoing.hasRoom(true) && !this.#bodies.low;
  }

  get heldBytes(): number {
    const { holding, pager } = this.#tables ?? {};
    const held = (holding?.heldBytes ?? 0) + (pager?.heldBytes ?? 0);
    return held * this.#throttle.crossedShare;
  }

  figures(): EngineFigures {
    const { engine, policy, packer } = this.#options;
    const { encoder, holding } = this.#tables ?? {};
    return {
      name: engine.name,
      policy: policyOf(engine, policy),
      cacheBytes: this.#cacheBytes,
      forms: encoder?.forms ?? NO_FORMS,
      packed: { batches: packer.batches, unpackedBytes: packer.unpackedBytes, bytes: packer.bytes },
      unchanged: encoder?.unchanged ?? 0,
      superseded: holding?.superseded ?? 0,
      passed: this.#passed,
      repaired: this.#repaired,
      stageMs: { encode: this.#throttle.encodeMs, pack: packer.busyMs, unpack: null, decode: null },
      effort: this.#postcopy ? ASIDE : this.#throttle.level,
    };
  }

  paging(): PagingFigures | null {
    return this.#tables?.pager?.figures() ?? null;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#quiet);
    this.#tables?.pager?.close();
    this.#options.packer.close();
    this.#bodies.close();
  }

  get #known(): Tables {
    if (this.#tables === undefined) throw new Error("no page comes before the blocks are known");
    return this.#tables;
  }

  /** Whether post-copy is our business. */
  get #serves(): boolean {
    if (this.#options.memory.pool.bytes < POOL_BYTES_MIN) return false;
    return this.#blocks.every(({ pageBytes }) => (pageBytes ?? SERVED_PAGE_BYTES) === SERVED_PAGE_BYTES);
  }

  #makePager({ numbers, store, encoder, gathered }: Tables): Pager | undefined {
    const { memory, pushOrder, outgoing, packer, link, room, settled } = this.#options;
    if (!this.#serves) return undefined;
    return new Pager({
      ...{
        kernels: this.#kernels,
        pool: memory.pool,
        gathered,
        numbers,
        store,
        encoder,
        bodies: this.#bodies,
      },
      ...{ packer, outgoing, order: pushOrder, link, room, settled, now: () => performance.now() },
    });
  }

  #drain(pager: Pager, run: Run): void {
    const odd = run.odd ? run.numbers[0]! : pager.take(run);
    run.reset();
    if (odd < 0) return;
    throw new GodwitError("POSTCOPY_ACCOUNT", {
      problem: `page ${odd} comes twice, or encoded, or uncalled`,
    });
  }

  #encode(run: Run): void {
    const { encoder, holding } = this.#known;
    if (holding === undefined) {
      for (let i = 0; i < run.count; i++)
        this.#emit(encoder, run.numbers[i]!, run.addresses[i]!, run.lo[i]!, run.hi[i]!);
      return;
    }
    const bytesPerSec = this.#options.link()?.deliveredBytesPerSec ?? 0;
    holding.limitTo(Math.max(HOLD_BYTES_MIN, (bytesPerSec * HOLD_MS) / 1000));
    for (let i = 0; i < run.count; i++) {
      if (run.sweeps[i] === 1) holding.pass();
      const page = run.numbers[i]!;
      if (run.zeros[i] === 1) holding.offerZero(page);
      else holding.offer(page, run.addresses[i]!, run.lo[i]!, run.hi[i]!, run.oldLo[i]!, run.oldHi[i]!);
    }
  }

  /** Writes one version to the batch. @param address  0: zeros */
  #emit(encoder: PageEncoder, page: number, address: number, lo: number, hi: number): void {
    if (!this.#open) this.#begin(encoder, this.#throttle.level);
    if (this.#offer(encoder, page, address, lo, hi) !== Offer.full) return;
    this.#finish();
    this.#begin(encoder, this.#throttle.level);
    if (this.#offer(encoder, page, address, lo, hi) === Offer.full)
      throw new Error("a page does not fit into an empty batch");
  }

  #offer(encoder: PageEncoder, page: number, address: number, lo: number, hi: number): Offer {
    return address === 0 ? encoder.addZero(page) : encoder.add(page, address, lo, hi);
  }

  #begin(encoder: PageEncoder, level: number): void {
    this.#level = Math.max(0, level);
    encoder.begin(this.#bodies.at, PAGES_BODY_BYTES_MAX, this.#level > 0);
    this.#open = true;
  }

  /** What has been written leaves. */
  #finish(form: PagesForm = PagesForm.plain): void {
    if (!this.#open) return;
    this.#open = false;
    const { entries, bytes: bodyBytes } = this.#known.encoder.finish();
    if (entries === 0) return;
    const body = this.#bodies.take(bodyBytes);
    const prefix = encodePagesPrefix({ form, entries, bodyBytes });
    this.#throttle.body(bodyBytes);
    if (form !== PagesForm.plain || this.#level === 0 || !worthPacking(bodyBytes)) {
      return this.#outgoing.send(DataKind.pages, [prefix, body.bytes], () => body.release());
    }
    const place = this.#outgoing.reserve(DataKind.pages, PAGES_PREFIX_BYTES + bodyBytes);
    const { packer } = this.#options;
    packer.pack(body.bytes, this.#level, (packed) => {
      if (packed === undefined) return place.fill([prefix, body.bytes], () => body.release());
      const packedPrefix = encodePagesPrefix({ form: PagesForm.zstd, entries, bodyBytes });
      place.fill([packedPrefix, packed], () => packer.reuse(packed));
      body.release();
    });
  }

  /** QEMU's own records, in place; the stores keep nothing of them. */
  #passOn(run: { context: RamBlock | undefined; pages: number; bytes: Uint8Array }): void {
    const tables = this.#known;
    // An older version that is held must not come behind, and a delta of QEMU's needs it before.
    this.#flushAll(tables);
    const { numbers, zeros, count } = this.#run;
    for (let i = 0; i < count; i++) {
      if (zeros[i] === 1) tables.store.zero(numbers[i]!);
      else tables.store.forget(numbers[i]!);
    }
    this.#passed += count;
    sendRecords(this.#outgoing, this.#options.memory.stream, run);
  }

  #flushAll({ holding }: Tables): void {
    holding?.flush();
    this.#finish();
  }

  /** Nothing has come for a while. */
  #idle(): void {
    if (this.#closed || this.#tables === undefined) return;
    const { holding } = this.#tables;
    if (holding !== undefined && this.#outgoing.idle && holding.pump(PUMP_PAGES) > 0) this.#quiet.refresh();
    this.#finish();
  }
}

const NOTHING = { pages: 0, bytes: 0 };
const NO_FORMS: EngineFigures["forms"] = {
  zero: NOTHING,
  same: NOTHING,
  delta: NOTHING,
  sparse: NOTHING,
  wkdm: NOTHING,
  raw: NOTHING,
};
