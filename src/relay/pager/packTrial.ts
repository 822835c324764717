/** What is delivered in a trial's first part was sent before it. */
const SETTLE_MS = 40;
const TRIAL_MS = 120;
/** How long a choice holds before the other way is tried again: twice as long each time that it is confirmed. */
const HOLD_MS_MIN = 1000;
const HOLD_MS_MAX = 8000;
/** The other way has to carry so much more. */
const BETTER = 1.1;

/**
 * Whether pushes are packed: found by trying. On a slow line packing carries twice the pages; where the processors are what
 * limits it carries a third. Rates of bytes do not tell the two apart, pages do.
 *
 * Begins unpacked. Pure: times are handed in, monotonic, ms.
 */
export class PackTrial {
  packs = false;
  /** The way in use is on trial against the other one's rate; null: it was chosen. */
  #against: number | null = null;
  #sinceMs: number;
  #holdMs = TRIAL_MS;
  #pages = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** The target has taken so many pages with content. */
  delivered(pages: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < SETTLE_MS) return;
    this.#pages += pages;
    if (elapsedMs < (this.#against === null ? this.#holdMs : TRIAL_MS)) return;
    const rate = this.#pages / (elapsedMs - SETTLE_MS);
    if (this.#against === null) this.#turn(nowMs, rate);
    else if (rate > this.#against * BETTER) this.#choose(nowMs, HOLD_MS_MIN);
    else {
      this.packs = !this.packs;
      this.#choose(nowMs, Math.min(HOLD_MS_MAX, Math.max(HOLD_MS_MIN, 2 * this.#holdMs)));
    }
  }

  #turn(nowMs: number, rate: number): void {
    this.packs = !this.packs;
    this.#against = rate;
    this.#begin(nowMs);
  }

  #choose(nowMs: number, holdMs: number): void {
    this.#against = null;
    this.#holdMs = holdMs;
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#pages = 0;
  }
}
