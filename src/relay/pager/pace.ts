/** What may stand before an answer, while the guest asks and while it does not. */
const QUEUE_MS = { asked: 1, quiet: 15 } as const;
/** The guest has asked lately. */
const ASKED_MS = 50;
const WINDOW_BYTES_MIN = 12 * 1024;
/** Before anything is known. */
const WINDOW_BYTES_START = 64 * 1024;
const WINDOW_BYTES_MAX = 2 * 2 ** 20;
/** How long a rate is measured, and for how many such samples the highest counts. */
const SAMPLE_MS = 10;
const SAMPLES = 16;
/** While the line's rate is being found. */
const SEARCH_GAIN = 2;
/** A rate that grows less is found. */
const GROWTH = 1.25;
const FLAT_SAMPLES = 3;

/**
 * How many pushed bytes may be on their way, so that little stands before an answer and the line is still full: the
 * highest rate at which the target has lately taken bytes, times the shortest round trip and a few ms. The highest and the
 * shortest, because either is disturbed in one direction only (BBR: Cardwell et al., ACM Queue 2016).
 *
 * Pure: times are handed in, monotonic, ms.
 */
export class PushPace {
  /** Pushed and not acknowledged. */
  inFlightBytes = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  readonly #samples: number[] = [];
  #sinceMs: number | undefined;
  #bytes = 0;
  /** In this sample the window was what limited. */
  #limited = false;
  #best = 0;
  #flat = 0;

  /** @param bytesPerSec  what the line was seen to carry before; undefined: nothing is known */
  constructor(bytesPerSec: number | undefined) {
    if (bytesPerSec === undefined || bytesPerSec <= 0) return;
    this.#best = bytesPerSec;
    this.#flat = FLAT_SAMPLES;
    this.#samples.push(bytesPerSec);
  }

  /** What the target takes; undefined until measured. */
  get bytesPerSec(): number | undefined {
    return this.#samples.length === 0 ? undefined : Math.max(...this.#samples);
  }

  /** The line's rate is known: it does not grow any more. */
  get #found(): boolean {
    return this.#flat >= FLAT_SAMPLES;
  }

  /** The guest waits for a page. */
  asked(nowMs: number): void {
    this.#askedAtMs = nowMs;
  }

  askedLately(nowMs: number): boolean {
    return nowMs - this.#askedAtMs < ASKED_MS;
  }

  /** @param roundTripMsMin  the line's; undefined counts as 1 ms */
  windowBytes(nowMs: number, roundTripMsMin: number | undefined): number {
    const queueMs = this.askedLately(nowMs) ? QUEUE_MS.asked : QUEUE_MS.quiet;
    const rate = this.bytesPerSec;
    if (rate === undefined) return WINDOW_BYTES_START;
    const gain = this.#found ? 1 : SEARCH_GAIN;
    const bytes = (gain * rate * ((roundTripMsMin ?? 1) + queueMs)) / 1000;
    return Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_MIN, bytes));
  }

  /** More would have been sent. */
  limited(): void {
    this.#limited = true;
  }

  sent(bytes: number, nowMs: number): void {
    if (this.inFlightBytes === 0) this.#begin(nowMs);
    this.inFlightBytes += bytes;
  }

  acknowledged(bytes: number, nowMs: number): void {
    this.inFlightBytes -= bytes;
    this.#bytes += bytes;
    this.#sinceMs ??= nowMs;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < SAMPLE_MS) return;
    // Without pressure a sample says what was asked of the line, which may be less than it carries.
    const rate = (this.#bytes * 1000) / elapsedMs;
    if (this.#limited || rate > (this.bytesPerSec ?? 0)) this.#sample(rate);
    this.#begin(nowMs);
  }

  #sample(rate: number): void {
    this.#samples.push(rate);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    if (rate > this.#best * GROWTH) {
      this.#best = rate;
      this.#flat = 0;
    } else this.#flat++;
  }

  #begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#limited = false;
  }
}
