import { performance } from "node:perf_hooks";

/** The most that may leave at once after a pause, as time at the full rate. Long enough for a late timer. */
const BURST_MS = 10;

/** A token bucket that may go into debt: a whole chunk leaves at once, and the next one waits. */
export class TokenBucket {
  readonly #bytesPerMs: number | null;
  #freeAtMs = 0;

  /** @param bytesPerSec  > 0; undefined is no limit */
  constructor(bytesPerSec: number | undefined) {
    this.#bytesPerMs = bytesPerSec === undefined ? null : bytesPerSec / 1000;
  }

  /** Takes `bytes`; returns how long to wait before sending them, in ms, 0 or more. */
  take(bytes: number): number {
    if (this.#bytesPerMs === null) return 0;
    const nowMs = performance.now();
    const startMs = Math.max(this.#freeAtMs, nowMs - BURST_MS);
    this.#freeAtMs = startMs + bytes / this.#bytesPerMs;
    return Math.max(0, this.#freeAtMs - nowMs);
  }
}
