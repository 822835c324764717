import { performance } from "node:perf_hooks";

/** The most that may leave at once after a pause, as time at the full rate. Long enough for a late timer. */
const BURST_MS = 10;
/** A chunk goes onto the line in pieces of at most so much time, as packets would. */
const GRAIN_MS = 10;
const GRAIN_BYTES_MIN = 4096;

/** A token bucket that may go into debt: a whole piece leaves at once, and the next one waits. */
export class TokenBucket {
  readonly #bytesPerMs: number | null;
  /** How much to take at once at most. */
  readonly grainBytes: number;
  #freeAtMs = 0;

  /** @param bytesPerSec  > 0; undefined is no limit */
  constructor(bytesPerSec: number | undefined) {
    this.#bytesPerMs = bytesPerSec === undefined ? null : bytesPerSec / 1000;
    const grain = (this.#bytesPerMs ?? Infinity) * GRAIN_MS;
    this.grainBytes = Math.max(GRAIN_BYTES_MIN, Math.ceil(grain));
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
