import type { PushOrder, Waiting } from "./types.ts";

/** Of the list, looked at per page that is pushed: enough to be through a list of 16 000 pages after 1000 pushes. */
const LOOKS_MAX = 16;

/**
 * Certain pages first, in their order; then, and between, another order.
 *
 * At the switch hardly any page waits yet, they are drained one after the other. So a page of the list that does not wait
 * is kept, and the list is gone through again and again, a few places per push: one that was drained meanwhile leaves soon.
 */
export class FirstPages implements PushOrder {
  readonly #waiting: Waiting;
  readonly #others: PushOrder;
  readonly #list: Int32Array;
  #length: number;
  /** Of this round: the place that is looked at next, and how many before it were kept (they close up). */
  #at = 0;
  #kept = 0;

  constructor(waiting: Waiting, others: PushOrder, pages: readonly number[] | Int32Array) {
    this.#waiting = waiting;
    this.#others = others;
    this.#list = Int32Array.from(pages);
    this.#length = pages.length;
  }

  fault(page: number): void {
    this.#others.fault(page);
  }

  next(): number {
    for (let looks = Math.min(LOOKS_MAX, this.#length); looks > 0; looks--) {
      if (this.#at === this.#length) {
        this.#length = this.#kept;
        this.#at = 0;
        this.#kept = 0;
        if (this.#length === 0) break;
      }
      const page = this.#list[this.#at++]!;
      if (this.#waiting.has(page)) return page;
      this.#list[this.#kept++] = page;
    }
    return this.#others.next();
  }

  release(): void {
    this.#others.release();
  }
}
