import type { Policy } from "../types.ts";

/** A distance is kept in this many steps; a longer one counts as never. */
const STEPS_MAX = 255;
/** All the room that there can be, in steps. */
const STEPS_PER_ROOM = 64;
/**
 * A page waits when it comes again before so many times as many versions as there is room for. More than 1, because
 * between two versions of a hot page also come many that do not wait and take no room (measured: docs/policies.md).
 */
const ROOMS = 3;
/** Times in steps are kept in 16 bits; 0 says "never read". */
const TIMES = 2 ** 16;

/**
 * Reuse distance, in the manner of Alamdari and Zamanifar, PDGC 2012: the number of pages read between two versions of
 * the same page, smoothed, foretells when the next one comes. Pages with a short distance wait, the others leave.
 * Short is what can be waited for: a few times as many versions as there is room for (after the stack distance of cache
 * replacement); of those that wait, the ones with the longest distance make room. Between two successive sweeps the versions read are distinct pages, so they are counted
 * as they come; only a page that sat out whole passes is given too long a distance, and it is none to wait for.
 * Memory: 3 bytes per page.
 */
export class ReusePolicy implements Policy {
  readonly leavesWhenIdle = false;
  /** When each page was last read, in steps; 0: not since the first pass. */
  readonly #readAt: Uint16Array;
  /** Smoothed distance in steps; 0: not known yet. */
  readonly #distances: Uint8Array;
  readonly #versionsPerStep: number;
  #shortSteps: number;
  #versions = 0;
  #pass = 1;

  /** @param slots  versions that can wait at once, at most */
  constructor(totalPages: number, slots: number) {
    this.#readAt = new Uint16Array(totalPages);
    this.#distances = new Uint8Array(totalPages);
    this.#versionsPerStep = Math.max(1, Math.ceil(slots / STEPS_PER_ROOM));
    this.#shortSteps = this.#stepsOf(slots);
  }

  pass(pass: number): void {
    this.#pass = pass;
  }

  room(slots: number): void {
    this.#shortSteps = this.#stepsOf(slots);
  }

  rank(page: number): number {
    // The first pass reads every page, dirty or not.
    if (this.#pass === 1) return 0;
    const now = (Math.floor(this.#versions++ / this.#versionsPerStep) % (TIMES - 1)) + 1;
    const before = this.#readAt[page]!;
    this.#readAt[page] = now;
    if (before === 0) return 0;
    const steps = Math.min(STEPS_MAX, Math.max(1, (now - before + TIMES - 1) % (TIMES - 1)));
    const known = this.#distances[page]!;
    const distance = known === 0 ? steps : (known + steps + 1) >> 1;
    this.#distances[page] = distance;
    // The nearest leave last.
    return distance > this.#shortSteps ? 0 : 1 + this.#shortSteps - distance;
  }

  #stepsOf(slots: number): number {
    return Math.ceil((ROOMS * slots) / this.#versionsPerStep);
  }
}
