/**
 * How much may be in flight. QEMU without us measures its bandwidth by what its socket takes; a large backlog makes it
 * believe in a bandwidth that does not exist and stop the guest too early. So the backlog is bounded in milliseconds of
 * link time, not in bytes.
 */

export const WINDOW_BYTES_MIN = 256 * 1024;
export const WINDOW_BYTES_MAX = 8 * 1024 * 1024;
/** Before the first measurement: fills a 100 Mbit line for 80 ms. */
export const WINDOW_BYTES_START = 1024 * 1024;
/** Queueing that we grant: enough to ride out a pause of one side's event loop. */
export const BACKLOG_MS = 50;

export interface WindowInput {
  /** What the target took (released) lately; > 0. */
  readonly deliveredBytesPerSec: number;
  /** The shortest round trip of this connection, >= 0. */
  readonly roundTripMsMin: number;
  readonly windowBytesMax: number;
}

/**
 * `rate * (1.25 * rttMin + 50 ms)`, within 256 KiB and the maximum.
 *
 * When the window is what limits the rate, rate = window / latency, so the window changes by the factor
 * `(1.25 * rttMin + 50) / latency` per measurement: it grows until the time from send to acknowledgement has reached
 * `1.25 * rttMin + 50` ms, and shrinks above. The quarter makes it grow on long lines too (by 1.4 per 300 ms there).
 */
export function windowBytes(input: WindowInput): number {
  const latencyMs = 1.25 * input.roundTripMsMin + BACKLOG_MS;
  const wanted = Math.round((input.deliveredBytesPerSec * latencyMs) / 1000);
  return Math.max(WINDOW_BYTES_MIN, Math.min(input.windowBytesMax, wanted));
}

/** Measures the rate of delivery from acknowledgements. */
export class DeliveryMeter {
  /** Smoothed over a few samples of 20 ms or a round trip; undefined until the first. */
  bytesPerSec: number | undefined;
  #sinceMs = 0;
  #bytes = 0;
  #limited = false;

  /** The line was idle until now: the time before must not count. */
  begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#limited = false;
  }

  /** The sender wanted more than the window: this sample says what the line can do, not what the sender asks of it. */
  limited(): void {
    this.#limited = true;
  }

  /** @returns whether there is a new value */
  acknowledged(bytes: number, nowMs: number, roundTripMsMin: number): boolean {
    this.#bytes += bytes;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < Math.max(20, roundTripMsMin)) return false;
    const sample = (this.#bytes * 1000) / elapsedMs;
    const before = this.bytesPerSec;
    const limited = this.#limited;
    this.begin(nowMs);
    if (before === undefined) this.bytesPerSec = sample;
    else if (sample > before || limited) this.bytesPerSec = before + (sample - before) / 2;
    else return false;
    return true;
  }
}
