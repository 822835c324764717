/** Callers remembered; beyond that the one that was longest silent is forgotten, and begins with a full bucket. */
const CALLERS_MAX = 1_000;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket per caller: `burst` at once, then `perSec`. */
export class Rates {
  readonly #burst: number;
  readonly #perSec: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor({ burst, perSec }: { readonly burst: number; readonly perSec: number }) {
    this.#burst = burst;
    this.#perSec = perSec;
  }

  /**
   * Whether this caller may go on now; takes a token if so.
   * @param nowMs  monotonic
   */
  take(caller: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(caller) ?? { tokens: this.#burst, atMs: nowMs };
    const earned = ((nowMs - bucket.atMs) / 1_000) * this.#perSec;
    const tokens = Math.min(this.#burst, bucket.tokens + earned);
    const may = tokens >= 1;
    this.#buckets.delete(caller); // and to the end: a map is in the order of its last use
    this.#buckets.set(caller, { tokens: may ? tokens - 1 : tokens, atMs: nowMs });
    if (this.#buckets.size > CALLERS_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    return may;
  }
}
