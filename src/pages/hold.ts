import { PAGE_BYTES, type PageKernels } from "../../kernels/types.ts";
import { WaitingQueue } from "./policies/queue.ts";
import type { Policy } from "./types.ts";

/** Versions that have waited too long leave with those that are offered, so many at a time: no pause, no pile. */
const DUE_PER_OFFER = 2;
const NOT_HELD = 0;
/** The share of versions that were waited for in vain is smoothed over about so many. */
const FATES = 256;

/** A region of the kernels' memory. */
export interface HoldRegion {
  readonly start: number;
  readonly bytes: number;
}

/**
 * Takes one version.
 * @param address  of its 4096 bytes, to be read before the call returns; 0: zeros
 * @param lo  half of the hash that was offered with it
 */
export type SendVersion = (page: number, address: number, lo: number, hi: number) => void;

/**
 * Takes one version that waits, for whoever sends it in another way.
 * @param oldLo  half of the hash of what was sent of this page before
 */
export type TakeVersion = (page: number, address: number, oldLo: number, oldHi: number) => void;

/**
 * Holds back versions of pages that a policy would rather send later, because they may be replaced before. Each version
 * offered is either sent once or replaced by a newer one while it waits. What waits lies in a fixed region of the kernels'
 * memory, so it is bounded; QEMU takes all of it as sent, so whoever decides about the switchover must count it
 * (`expectedBytes`).
 *
 * What limits the waiting, whatever the policy says:
 * - A version leaves when the next sweep has gone past its place without a newer one: it was not dirty again.
 * - It leaves after as many offers as the guest has pages (where sweeps are too short to be told apart).
 * - When the region is full, the lowest rank leaves, unless the newcomer's is no higher: then that one does. So pages that
 *   come again and again in turn, and are more than there is room for, do not push each other out.
 */
export class Holding {
  /** Versions replaced while they waited: nothing of them crossed. */
  superseded = 0;
  readonly #kernels: PageKernels;
  readonly #start: number;
  /** The most that may wait; never more than there are slots. */
  #slotsAllowed: number;
  readonly #policy: Policy;
  readonly #send: SendVersion;
  readonly #queue: WaitingQueue;
  /** Each page's slot plus 1; 0: it does not wait. */
  readonly #slotOf: Int32Array;
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #pageIn: Int32Array;
  /** Halves of the hash of what lies in each slot. */
  readonly #hashes: Int32Array;
  /** And of what was sent of the page before. */
  readonly #sentHashes: Int32Array;
  readonly #passOf: Int32Array;
  /** Number of the offer that brought what lies in the slot. */
  readonly #offerOf: Float64Array;
  readonly #totalPages: number;
  #pass = 1;
  /** How far the sweep has come. */
  #place = -1;
  #offers = 0;
  /** Of the versions that waited until their fate was known, the part that was not replaced. */
  #keptShare = 1;

  /** @param region  at least one page; a part of a page at its end is left unused */
  constructor(
    kernels: PageKernels,
    region: HoldRegion,
    policy: Policy,
    totalPages: number,
    send: SendVersion,
  ) {
    const slots = Math.floor(region.bytes / PAGE_BYTES);
    if (slots < 1) throw new RangeError(`${region.bytes} bytes hold no page`);
    if (region.start < kernels.freeStart || region.start + region.bytes > kernels.bytes.length) {
      throw new RangeError("the region lies outside the memory");
    }
    this.#kernels = kernels;
    this.#start = region.start;
    this.#slotsAllowed = slots;
    this.#policy = policy;
    this.#send = send;
    this.#totalPages = totalPages;
    this.#queue = new WaitingQueue(slots);
    this.#slotOf = new Int32Array(totalPages);
    this.#free = Int32Array.from({ length: slots }, (_, i) => slots - 1 - i);
    this.#freeCount = slots;
    this.#pageIn = new Int32Array(slots);
    this.#hashes = new Int32Array(2 * slots);
    this.#sentHashes = new Int32Array(2 * slots);
    this.#passOf = new Int32Array(slots);
    this.#offerOf = new Float64Array(slots);
  }

  get heldPages(): number {
    return this.#queue.size;
  }

  get heldBytes(): number {
    return this.#queue.size * PAGE_BYTES;
  }

  /**
   * What would have to cross beside the pages that QEMU finds dirty, if the guest stopped now: of those that wait, the part
   * that is probably not dirty again. `heldBytes` is the bound; counted together with QEMU's dirty set it counts hot pages
   * twice.
   */
  get expectedBytes(): number {
    return Math.ceil(this.#queue.size * this.#keptShare) * PAGE_BYTES;
  }

  /**
   * At most so much may wait from now on (the region's size is never exceeded): as much as the link carries in the part of
   * the downtime that is meant for it. What is too much leaves with the next offers and pumps. 0: nothing waits.
   */
  limitTo(bytes: number): void {
    const slots = Math.min(this.#pageIn.length, Math.floor(bytes / PAGE_BYTES));
    if (slots === this.#slotsAllowed) return;
    this.#slotsAllowed = slots;
    this.#policy.room(slots);
  }

  /** A new sweep of QEMU over memory has begun. The first begins by itself. */
  pass(): void {
    this.#pass++;
    this.#place = -1;
    this.#policy.pass(this.#pass);
  }

  /**
   * A version was read. It is sent before the call returns, or its content copied. Older ones may be sent as well.
   * @param oldLo  half of the hash of the version that was offered before
   */
  offer(page: number, address: number, lo: number, hi: number, oldLo = 0, oldHi = 0): void {
    const rank = this.#read(page);
    const held = this.#slotOf[page]! - 1;
    const sentLo = held >= 0 ? this.#sentHashes[2 * held]! : oldLo;
    const sentHi = held >= 0 ? this.#sentHashes[2 * held + 1]! : oldHi;
    if (held >= 0) this.#replace(held);
    const slot = rank === 0 ? -1 : this.#room(rank);
    if (slot < 0) this.#send(page, address, lo, hi);
    else {
      this.#hold(slot, rank, page, address, lo, hi);
      this.#sentHashes[2 * slot] = sentLo;
      this.#sentHashes[2 * slot + 1] = sentHi;
    }
    this.#sendDue(DUE_PER_OFFER);
  }

  /** A version that is all zeros was read: it costs next to nothing and leaves at once. */
  offerZero(page: number): void {
    this.#read(page);
    const held = this.#slotOf[page]! - 1;
    if (held >= 0) this.#replace(held);
    this.#send(page, 0, 0, 0);
    this.#sendDue(DUE_PER_OFFER);
  }

  /** The link has nothing to do: sends up to so many of those that may leave now. @returns how many it sent */
  pump(count: number): number {
    let sent = this.#sendDue(count);
    if (!this.#policy.leavesWhenIdle) return sent;
    for (; sent < count && this.#queue.size > 0; sent++) this.#release(this.#queue.first);
    return sent;
  }

  /** Sends all that waits, in order of rank: at a barrier, before post-copy, before the engine steps aside. */
  flush(): void {
    while (this.#queue.size > 0) this.#release(this.#queue.first);
  }

  /** Hands over all that waits, at most so many; nothing of it is sent from here. */
  hand(most: number, take: TakeVersion): void {
    for (let left = most; left > 0 && this.#queue.size > 0; left--) {
      const slot = this.#queue.first;
      const page = this.#pageIn[slot]!;
      this.#clear(slot);
      take(page, this.#addressOf(slot), this.#sentHashes[2 * slot]!, this.#sentHashes[2 * slot + 1]!);
    }
  }

  /** Sends what waits of one page, before a newer version of it goes another way (as QEMU's record). */
  flushPage(page: number): void {
    const held = this.#slotOf[page]! - 1;
    if (held >= 0) this.#release(held);
  }

  /** Tells the policy, and notes how far the sweep has come. */
  #read(page: number): number {
    this.#offers++;
    this.#place = page;
    return this.#policy.rank(page);
  }

  /** The content in this slot is not the newest any more. */
  #replace(slot: number): void {
    this.superseded++;
    this.#keptShare -= this.#keptShare / FATES;
    this.#clear(slot);
  }

  /** A free slot for a version of this rank, or -1 when those that wait are worth more. */
  #room(rank: number): number {
    if (this.#queue.size >= this.#slotsAllowed) {
      if (this.#slotsAllowed === 0) return -1;
      const first = this.#queue.first;
      if (this.#queue.rankOf(first) >= rank) return -1;
      this.#release(first);
    }
    return this.#free[--this.#freeCount]!;
  }

  #hold(slot: number, rank: number, page: number, address: number, lo: number, hi: number): void {
    this.#kernels.bytes.copyWithin(this.#addressOf(slot), address, address + PAGE_BYTES);
    this.#hashes[2 * slot] = lo;
    this.#hashes[2 * slot + 1] = hi;
    this.#pageIn[slot] = page;
    this.#passOf[slot] = this.#pass;
    this.#offerOf[slot] = this.#offers;
    this.#slotOf[page] = slot + 1;
    this.#queue.push(slot, rank);
  }

  #sendDue(most: number): number {
    let sent = 0;
    for (; sent < most; sent++) {
      const { oldest, size } = this.#queue;
      if (size > this.#slotsAllowed) this.#release(this.#queue.first);
      else if (size > 0 && this.#isDue(oldest)) {
        this.#keptShare += (1 - this.#keptShare) / FATES;
        this.#release(oldest);
      } else break;
    }
    return sent;
  }

  /** Whether a newer version would have come by now. */
  #isDue(slot: number): boolean {
    const sweepsSince = this.#pass - this.#passOf[slot]!;
    if (sweepsSince > 1 || (sweepsSince === 1 && this.#pageIn[slot]! < this.#place)) return true;
    return this.#offers - this.#offerOf[slot]! >= this.#totalPages;
  }

  #release(slot: number): void {
    const page = this.#pageIn[slot]!;
    this.#clear(slot);
    // The slot is free already, but nothing writes to it before `send` returns.
    this.#send(page, this.#addressOf(slot), this.#hashes[2 * slot]!, this.#hashes[2 * slot + 1]!);
  }

  #clear(slot: number): void {
    this.#queue.remove(slot);
    this.#slotOf[this.#pageIn[slot]!] = NOT_HELD;
    this.#free[this.#freeCount++] = slot;
  }

  #addressOf(slot: number): number {
    return this.#start + slot * PAGE_BYTES;
  }
}
