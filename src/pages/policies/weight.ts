import { type Policy, RANK_MAX } from "../types.ts";

/** Dirty in this many passes, a page still leaves in stream order. */
const LIGHT_MAX = 1;

/**
 * Dynamic page reordering, in the manner of Svard et al., CloudCom 2011: a page weighs as much as the number of passes in
 * which it was dirty, and heavier ones leave later, so that of a page written often fewer versions cross. They sort each
 * pass as a whole; here light versions go on in stream order, and what is held leaves in order of weight.
 * Memory: 1 byte per page.
 */
export class WeightPolicy implements Policy {
  readonly leavesWhenIdle = true;
  readonly #weights: Uint8Array;
  #pass = 1;

  constructor(totalPages: number) {
    this.#weights = new Uint8Array(totalPages);
  }

  pass(pass: number): void {
    this.#pass = pass;
  }

  room(): void {}

  rank(page: number): number {
    // The first pass reads every page, dirty or not.
    if (this.#pass === 1) return 0;
    const weight = Math.min(this.#weights[page]! + 1, RANK_MAX);
    this.#weights[page] = weight;
    return Math.max(0, weight - LIGHT_MAX);
  }
}
