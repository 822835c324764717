import { RANK_MAX } from "../types.ts";

const NONE = -1;

/**
 * Doubly linked lists of slots, one list a number: each slot is in one of them at most. All operations take constant time
 * and nothing is allocated after the start.
 */
class SlotLists {
  readonly #heads: Int32Array;
  readonly #tails: Int32Array;
  readonly #next: Int32Array;
  readonly #before: Int32Array;

  constructor(lists: number, slots: number) {
    this.#heads = new Int32Array(lists).fill(NONE);
    this.#tails = new Int32Array(lists).fill(NONE);
    this.#next = new Int32Array(slots);
    this.#before = new Int32Array(slots);
  }

  head(list: number): number {
    return this.#heads[list]!;
  }

  append(list: number, slot: number): void {
    const tail = this.#tails[list]!;
    this.#before[slot] = tail;
    this.#next[slot] = NONE;
    if (tail === NONE) this.#heads[list] = slot;
    else this.#next[tail] = slot;
    this.#tails[list] = slot;
  }

  remove(list: number, slot: number): void {
    const before = this.#before[slot]!;
    const next = this.#next[slot]!;
    if (before === NONE) this.#heads[list] = next;
    else this.#next[before] = next;
    if (next === NONE) this.#tails[list] = before;
    else this.#before[next] = before;
  }
}

/** Slots that wait: by rank (buckets, first in first out within one), and by age. */
export class WaitingQueue {
  readonly #byRank: SlotLists;
  readonly #byAge: SlotLists;
  readonly #ranks: Uint8Array;
  /** No slot waits with a rank below. */
  #lowest = RANK_MAX;
  #size = 0;

  constructor(slots: number) {
    this.#byRank = new SlotLists(RANK_MAX + 1, slots);
    this.#byAge = new SlotLists(1, slots);
    this.#ranks = new Uint8Array(slots);
  }

  get size(): number {
    return this.#size;
  }

  /** The slot that has waited longest, or -1. */
  get oldest(): number {
    return this.#byAge.head(0);
  }

  /** The oldest of those with the lowest rank, or -1. */
  get first(): number {
    if (this.#size === 0) return NONE;
    while (this.#byRank.head(this.#lowest) === NONE) this.#lowest++;
    return this.#byRank.head(this.#lowest);
  }

  rankOf(slot: number): number {
    return this.#ranks[slot]!;
  }

  /** The slot must not be waiting. */
  push(slot: number, rank: number): void {
    this.#ranks[slot] = rank;
    this.#byRank.append(rank, slot);
    this.#byAge.append(0, slot);
    this.#lowest = Math.min(this.#lowest, rank);
    this.#size++;
  }

  /** The slot must be waiting. */
  remove(slot: number): void {
    this.#byRank.remove(this.#ranks[slot]!, slot);
    this.#byAge.remove(0, slot);
    this.#size--;
  }
}
