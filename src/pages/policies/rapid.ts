import type { Policy } from "../types.ts";

/**
 * Rapid page dirtying, in the manner of Clark et al., NSDI 2005: a page is sent only once it is known that it was not
 * dirty again. They peek at the dirty log just before sending; here "dirty again" shows as a newer version in the next
 * sweep, so every version waits until that sweep has gone past its place (which `Holding` watches).
 * The first pass does not wait: every page is read in it, whether it was ever written or not.
 */
export class RapidPolicy implements Policy {
  readonly leavesWhenIdle = false;
  #pass = 1;

  pass(pass: number): void {
    this.#pass = pass;
  }

  room(): void {}

  rank(): number {
    return this.#pass > 1 ? 1 : 0;
  }
}
