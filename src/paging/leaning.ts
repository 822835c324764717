import type { PushOrder, Waiting } from "./types.ts";

/** Faults of this place on one side, more than on the other, until it leans to that side; a new place leans upwards. */
const LEAN_AT = 2;
const LEAN_MAX = 4;
/** Of so many pages at a place that leans, one goes to the other side. */
const LEAN_TURNS = 8;

/**
 * One bubble, around the last fault, that learns where the guest is going. Three things differ from `bubble`:
 *
 * - it grows mostly to the side where its faults follow each other, upwards until they say otherwise;
 * - it ends where nothing waits near it, instead of going on behind what was sent long ago or what QEMU has not given yet;
 * - then pages go upwards from the last fault, as in `Forward`.
 */
export class Leaning implements PushOrder {
  readonly #waiting: Waiting;
  readonly #nearPages: number;
  #pivot = 0;
  /** From where to where pages near each other were asked for or pushed. None before the first fault. */
  #low = 0;
  #high = -1;
  #lean = 0;
  #turn = 0;

  /** @param nearPages  a fault so close to the bubble belongs to it; a page farther from it than this does not */
  constructor(waiting: Waiting, nearPages: number) {
    this.#waiting = waiting;
    this.#nearPages = nearPages;
  }

  fault(page: number): void {
    if (this.#high >= 0 && this.#isNear(page)) {
      const lean = this.#lean + 2 * Math.sign(page - this.#pivot);
      this.#lean = Math.max(-LEAN_MAX, Math.min(LEAN_MAX, lean));
      this.#grow(page);
    } else {
      this.#lean = LEAN_AT;
      this.#low = page;
      this.#high = page;
    }
    this.#pivot = page;
    this.#turn = 0;
  }

  next(): number {
    const waiting = this.#waiting;
    const above = waiting.nextAt(this.#pivot);
    if (this.#high >= 0) {
      const below = waiting.previousAt(this.#pivot - 1);
      const mayGoUp = above >= 0 && this.#isNear(above);
      const mayGoDown = below >= 0 && this.#isNear(below);
      if (mayGoUp || mayGoDown) {
        const page = mayGoUp && (!mayGoDown || this.#wantsUp()) ? above : below;
        this.#grow(page);
        this.#turn++;
        return page;
      }
    }
    return above >= 0 ? above : waiting.nextAt(0);
  }

  release(): void {}

  #isNear(page: number): boolean {
    return page >= this.#low - this.#nearPages && page <= this.#high + this.#nearPages;
  }

  #grow(page: number): void {
    this.#low = Math.min(this.#low, page);
    this.#high = Math.max(this.#high, page);
  }

  #wantsUp(): boolean {
    if (Math.abs(this.#lean) < LEAN_AT) return this.#turn % 2 === 0;
    const against = this.#turn % LEAN_TURNS === LEAN_TURNS - 1;
    return this.#lean > 0 !== against;
  }
}
