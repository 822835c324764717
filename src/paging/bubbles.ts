import type { PushOrder, Waiting } from "./types.ts";

export interface BubblesOptions {
  /** Pivots at most; 1: every fault moves the only one. */
  readonly pivots: number;
  /** Pages: a fault within a bubble or so close to it belongs to it. */
  readonly nearPages: number;
}

/**
 * Bubbling (Hines and Gopalan, Post-Copy Based Live Virtual Machine Migration Using Adaptive Pre-Paging, VEE 2009, section
 * 3.3): pages around the last faults, because the guest is at work there. A bubble grows from its pivot by one page to
 * either side in turn; with several pivots, the bubbles take turns.
 *
 * What was sent waits no more, so a bubble's edges are simply the nearest pages that wait on either side of its pivot.
 * Between two pivots lies what both may take; when nothing waits there, both edges are dead, until something is drained
 * there. Every page lies between two pivots or beyond the last: whatever waits is reached.
 *
 * A fault within a bubble or near it moves that bubble's pivot there: what lies between was sent, so no edge goes back. A
 * fault elsewhere makes a new pivot; when there are too many, the one goes whose last fault is the longest ago. A page
 * between the bubbles of two pivots is never out of reach because one of them goes.
 */
export class Bubbles implements PushOrder {
  readonly #waiting: Waiting;
  readonly #options: BubblesOptions;
  /** Per bubble, in no order of place. */
  readonly #pivots: Int32Array;
  /** From where to where it has grown. */
  readonly #lows: Int32Array;
  readonly #highs: Int32Array;
  /** Number of the last fault that was its own. */
  readonly #faultedAt: Float64Array;
  /** Pages sent since the last fault: whose side's turn it is. */
  readonly #turns: Int32Array;
  #count = 0;
  #faults = 0;
  /** The bubble that is next. */
  #at = 0;

  constructor(waiting: Waiting, options: BubblesOptions) {
    this.#waiting = waiting;
    this.#options = options;
    this.#pivots = new Int32Array(options.pivots);
    this.#lows = new Int32Array(options.pivots);
    this.#highs = new Int32Array(options.pivots);
    this.#faultedAt = new Float64Array(options.pivots);
    this.#turns = new Int32Array(options.pivots);
  }

  fault(page: number): void {
    let slot = this.#near(page);
    if (slot < 0) {
      slot = this.#free();
      this.#lows[slot] = page;
      this.#highs[slot] = page;
    } else {
      if (page < this.#lows[slot]!) this.#lows[slot] = page;
      if (page > this.#highs[slot]!) this.#highs[slot] = page;
    }
    this.#pivots[slot] = page;
    this.#faultedAt[slot] = ++this.#faults;
    this.#turns[slot] = 0;
    // The guest stands here now: this bubble is the next.
    this.#at = slot;
  }

  next(): number {
    if (this.#count === 0) return this.#waiting.nextAt(0);
    for (let tries = 0; tries < this.#count; tries++) {
      const slot = this.#at;
      this.#at = slot + 1 < this.#count ? slot + 1 : 0;
      const up = this.#turns[slot]! % 2 === 0;
      let page = this.#edge(slot, up);
      if (page < 0) page = this.#edge(slot, !up);
      if (page < 0) continue;
      this.#turns[slot]!++;
      if (page > this.#highs[slot]!) this.#highs[slot] = page;
      if (page < this.#lows[slot]!) this.#lows[slot] = page;
      return page;
    }
    return -1;
  }

  release(): void {}

  /** The bubble that the page lies in or near, the nearest; -1: none. */
  #near(page: number): number {
    let best = -1;
    let bestDistance = this.#options.nearPages + 1;
    for (let slot = 0; slot < this.#count; slot++) {
      const distance = Math.max(this.#lows[slot]! - page, page - this.#highs[slot]!, 0);
      if (distance < bestDistance) {
        best = slot;
        bestDistance = distance;
      }
    }
    return best;
  }

  /** A place for a new bubble. */
  #free(): number {
    if (this.#count < this.#pivots.length) return this.#count++;
    let oldest = 0;
    for (let slot = 1; slot < this.#count; slot++) {
      if (this.#faultedAt[slot]! < this.#faultedAt[oldest]!) oldest = slot;
    }
    return oldest;
  }

  /** The nearest that waits above (with the pivot itself) or below the pivot, before the next pivot; -1: this edge is dead. */
  #edge(slot: number, up: boolean): number {
    const pivot = this.#pivots[slot]!;
    const page = up ? this.#waiting.nextAt(pivot) : this.#waiting.previousAt(pivot - 1);
    if (page < 0) return -1;
    for (let other = 0; other < this.#count; other++) {
      const wall = this.#pivots[other]!;
      if (up ? wall > pivot && wall <= page : wall < pivot && wall > page) return -1;
    }
    return page;
  }
}
