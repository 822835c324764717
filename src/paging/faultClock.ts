import type { FaultTimes } from "./types.ts";

/** Requests that are open at once, at most; beyond it the oldest is forgotten and not counted. */
export const OPEN_REQUESTS_MAX = 65_536;

/** Upper edges of the report's buckets, ms: three a decade. */
const EDGES_MS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const;

/** Steps of the fine histogram that percentiles are read from: per decade, from this time on, over so many decades. */
const FINE_PER_DECADE = 100;
const FINE_FROM_MS = 0.01;
const FINE_DECADES = 8;

/**
 * How long the guest waits for the pages that it asks for. Times are handed in, from any clock that does not go back.
 *
 * Percentiles are read from a histogram of 100 steps per decade (the middle of the step, so at most 1.2 % off, between
 * 0.01 ms and 1000 s); the longest time and the buckets are exact. Memory is bounded, whatever a guest asks for.
 */
export class FaultClock {
  /** When each page was asked for that was not given, in the order of asking. */
  readonly #open = new Map<number, number>();
  readonly #fine = new Float64Array(FINE_PER_DECADE * FINE_DECADES + 1);
  readonly #buckets = new Float64Array(EDGES_MS.length + 1);
  #count = 0;
  #maxMs = 0;

  /** Pages asked for and not given. */
  get waiting(): number {
    return this.#open.size;
  }

  /** The guest asked for a page. Of several requests for one page the first counts. */
  asked(page: number, nowMs: number): void {
    if (this.#open.has(page)) return;
    if (this.#open.size >= OPEN_REQUESTS_MAX) {
      for (const oldest of this.#open.keys()) {
        this.#open.delete(oldest);
        break;
      }
    }
    this.#open.set(page, nowMs);
  }

  /** A page was handed to QEMU; nothing when nobody asked for it. */
  given(page: number, nowMs: number): void {
    const askedMs = this.#open.get(page);
    if (askedMs === undefined) return;
    this.#open.delete(page);
    this.#add(Math.max(0, nowMs - askedMs));
  }

  /** Of the pages given so far; null: none was waited for. */
  times(): FaultTimes | null {
    if (this.#count === 0) return null;
    return {
      count: this.#count,
      p50Ms: this.#percentile(0.5),
      p95Ms: this.#percentile(0.95),
      p99Ms: this.#percentile(0.99),
      maxMs: this.#maxMs,
      buckets: Array.from(this.#buckets, (count, i) => ({ toMs: EDGES_MS[i] ?? null, count })),
    };
  }

  #add(ms: number): void {
    this.#count++;
    this.#maxMs = Math.max(this.#maxMs, ms);
    let bucket = 0;
    while (bucket < EDGES_MS.length && ms > EDGES_MS[bucket]!) bucket++;
    this.#buckets[bucket]!++;
    this.#fine[fineStep(ms)]!++;
  }

  /** By nearest rank. */
  #percentile(part: number): number {
    const rank = Math.ceil(part * this.#count);
    if (rank === this.#count) return this.#maxMs;
    let step = 0;
    for (let sum = this.#fine[0]!; sum < rank; sum += this.#fine[step]!) step++;
    // Step 0 is all below the first edge.
    const ms = FINE_FROM_MS * 10 ** ((step - 0.5) / FINE_PER_DECADE);
    return Math.min(ms, this.#maxMs);
  }
}

/** The step of the fine histogram that a time falls in. */
function fineStep(ms: number): number {
  if (ms <= FINE_FROM_MS) return 0;
  const step = Math.ceil(Math.log10(ms / FINE_FROM_MS) * FINE_PER_DECADE);
  return Math.min(step, FINE_PER_DECADE * FINE_DECADES);
}
