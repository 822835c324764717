/** What may stand before an answer, while the guest asks and while it does not. */
const QUEUE_MS = { asked: 1, quiet: 6 } as const;
/** The guest has asked lately. */
const ASKED_MS = 250;
const WINDOW_BYTES_MIN = 12 * 1024;
/** Before anything is known. */
const WINDOW_BYTES_START = 64 * 1024;
const WINDOW_BYTES_MAX = 2 * 2 ** 20;
/** How long a rate is measured at least, and for how many such samples the highest counts. */
const SAMPLE_MS = 40;
const SAMPLES = 10;
/** How often the line is let run empty to see how long it is. */
const PROBE_MS = 200;
/** Then a frame leaves only when none is on its way. */
const PROBE_BYTES = 1;
/** While the line's rate is being found. */
const SEARCH_GAIN = 2;
/** A rate that grows less is found. */
const GROWTH = 1.25;
const FLAT_SAMPLES = 3;

/** A frame whose way is watched. */
interface Watched {
  readonly sentAtMs: number;
  /** Bytes acknowledged when it was sent, and when the last of them were. */
  readonly deliveredBytes: number;
  readonly deliveredAtMs: number;
  /** It is acknowledged when so many are. */
  readonly endBytes: number;
}

/**
 * How many pushed bytes may be on their way, so that little stands before an answer and the line is still full: the
 * highest rate at which the target has lately taken bytes, times the line's length and a few ms more. A rate is measured over
 * the whole way of one frame, or bytes that were taken in a bunch would look like a fast line; the length is seen when next
 * to nothing else is on the way, which has to be brought about (both as BBR does: Cardwell et al., ACM Queue 2016).
 *
 * Pure: times are handed in, monotonic, ms.
 */
export class PushPace {
  /** Pushed and not acknowledged. */
  inFlightBytes = 0;
  #sentBytes = 0;
  #deliveredBytes = 0;
  #deliveredAtMs = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  readonly #samples: number[] = [];
  #begun = false;
  #rated: Watched | undefined;
  #timed: Watched | undefined;
  #lengthMs: number | undefined;
  #probedAtMs = Number.NEGATIVE_INFINITY;
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

  /** From a frame's leaving until the target QEMU has it and that is known here, with nothing before it; undefined until seen. */
  get lengthMs(): number | undefined {
    return this.#lengthMs;
  }

  /** The line's rate is known: it does not grow any more. */
  get #found(): boolean {
    return this.#flat >= FLAT_SAMPLES;
  }

  /**
   * The target QEMU takes what comes: from now on the way of a frame tells of the line. Before, a frame stands behind the
   * package until QEMU has loaded that, and would look like a line of 60 ms.
   */
  begin(): void {
    this.#begun = true;
  }

  /** The guest waits for a page. */
  asked(nowMs: number): void {
    this.#askedAtMs = nowMs;
  }

  askedLately(nowMs: number): boolean {
    return nowMs - this.#askedAtMs < ASKED_MS;
  }

  /** @param roundTripMsMin  the link's own; undefined: not measured */
  windowBytes(nowMs: number, roundTripMsMin: number | undefined): number {
    if (!this.#begun) return WINDOW_BYTES_START;
    if (this.#probing(nowMs)) return PROBE_BYTES;
    const queueMs = this.askedLately(nowMs) ? QUEUE_MS.asked : QUEUE_MS.quiet;
    const rate = this.bytesPerSec;
    if (rate === undefined) return WINDOW_BYTES_START;
    const gain = this.#found ? 1 : SEARCH_GAIN;
    const bytes = (gain * rate * (this.#wayMs(roundTripMsMin) + queueMs)) / 1000;
    return Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_MIN, bytes));
  }

  /** More would have been sent. */
  limited(nowMs: number): void {
    if (!this.#probing(nowMs)) this.#limited = true;
  }

  sent(bytes: number, nowMs: number): void {
    if (this.inFlightBytes === 0) this.#deliveredAtMs = nowMs;
    this.#sentBytes += bytes;
    const alone = this.inFlightBytes === 0;
    this.inFlightBytes += bytes;
    if (!this.#begun) return;
    const frame: Watched = {
      sentAtMs: nowMs,
      deliveredBytes: this.#deliveredBytes,
      deliveredAtMs: this.#deliveredAtMs,
      endBytes: this.#sentBytes,
    };
    if (this.#rated === undefined) {
      this.#rated = frame;
      this.#limited = false;
    }
    if (!alone) return;
    this.#timed = frame;
    this.#probedAtMs = nowMs;
  }

  acknowledged(bytes: number, nowMs: number): void {
    this.inFlightBytes -= bytes;
    this.#deliveredBytes += bytes;
    this.#deliveredAtMs = nowMs;
    if (this.#timed !== undefined && this.#deliveredBytes >= this.#timed.endBytes) {
      const ms = nowMs - this.#timed.sentAtMs;
      this.#lengthMs = Math.min(this.#lengthMs ?? ms, ms);
      this.#timed = undefined;
    }
    const rated = this.#rated;
    if (rated === undefined || this.#deliveredBytes < rated.endBytes) return;
    const elapsedMs = nowMs - rated.deliveredAtMs;
    if (elapsedMs < SAMPLE_MS) return;
    this.#rated = undefined;
    // Without pressure a sample says what was asked of the line, which may be less than it carries.
    const rate = ((this.#deliveredBytes - rated.deliveredBytes) * 1000) / elapsedMs;
    if (this.#limited || rate > (this.bytesPerSec ?? 0)) this.#sample(rate);
  }

  /** Both are measured by busy processes, and only ever too long. */
  #wayMs(roundTripMsMin: number | undefined): number {
    if (roundTripMsMin === undefined) return this.#lengthMs ?? 1;
    return Math.min(this.#lengthMs ?? Infinity, roundTripMsMin + 1);
  }

  #probing(nowMs: number): boolean {
    return nowMs - this.#probedAtMs >= PROBE_MS;
  }

  #sample(rate: number): void {
    this.#samples.push(rate);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    if (rate > this.#best * GROWTH) {
      this.#best = rate;
      this.#flat = 0;
    } else this.#flat++;
  }
}
