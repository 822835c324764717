/** Pages of zeros per ms, while the guest asks and while it does not. */
const PER_MS = { asked: 32, quiet: 128 } as const;
/** Saved up at most, ms. */
const SAVED_MS_MAX = 4;

/**
 * How many pages of zeros may leave by now. On the line they cost next to nothing, but QEMU takes some µs to place each, and
 * its socket's buffer holds twenty thousand: they would stand before an answer for hundreds of ms.
 */
export class ZeroRate {
  #tokens = 0;
  #sinceMs: number;

  /** @param nowMs  monotonic, as all times here */
  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** @param asked  the guest has asked for pages lately @returns how many may leave now: the caller takes them by `spend` */
  allowed(nowMs: number, asked: boolean): number {
    const perMs = asked ? PER_MS.asked : PER_MS.quiet;
    this.#tokens = Math.min(this.#tokens + (nowMs - this.#sinceMs) * perMs, SAVED_MS_MAX * perMs);
    this.#sinceMs = nowMs;
    return Math.max(0, Math.floor(this.#tokens));
  }

  spend(pages: number): void {
    this.#tokens -= pages;
  }
}
