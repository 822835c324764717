/** What the path from QEMU to QEMU carries, from the source relay's counters. Pure: it is told when. */

/** One reading of the source relay. */
export interface CarriedSample {
  readonly atMs: number;
  /** What QEMU has written so far. */
  readonly streamBytes: number;
  /** What has gone to the link so far. */
  readonly wireBytes: number;
  /** Given by QEMU, not yet taken at the target, as it will cross. */
  readonly backlogBytes: number;
  /** The relay's own measure of the link; null: not measured yet. */
  readonly deliveredBytesPerSec: number | null;
}

/** The link's rate may fall at any time: an older reading is worth nothing. */
const LINK_MEMORY_MS = 3_000;
/** What relays and QEMU can handle changes less; but they show it only while there is enough to send. */
const INTAKE_MEMORY_MS = 10_000;
/** A rate over less is noise. */
const WINDOW_MS_MIN = 200;
/** The ratio is that of the newest so many bytes of QEMU's stream. */
const RATIO_BYTES = 4 * 2 ** 20;
/** With less the first pass's ratio is used on. */
const RATIO_BYTES_MIN = 256 * 2 ** 10;
/** Frames and repetitions may make a little more of it. */
const RATIO_MAX = 1.25;
const RATIO_MIN = 1e-4;
/** This pass and the one before. */
const MARKS_MAX = 2;

/** Rates and the gain of the encodings, over the last seconds. */
export class Throughput {
  readonly #samples: CarriedSample[] = [];
  #first: CarriedSample | null = null;
  /** The first sample of the second pass: what comes after it are versions of pages that the target had before. */
  #again: CarriedSample | null = null;
  #pass1Ratio: number | null = null;
  /** The first samples of the newest passes from the third on, newest last. */
  readonly #marks: CarriedSample[] = [];
  #passBegun = false;

  /** A pass has begun, the second or a later one. */
  passBegun(): void {
    this.#passBegun = true;
  }

  add(sample: CarriedSample): void {
    this.#first ??= sample;
    if (this.#passBegun && this.#again === null) {
      this.#pass1Ratio = ratio(this.#first, sample);
      this.#again = sample;
    } else if (this.#passBegun) {
      this.#marks.push(sample);
      if (this.#marks.length > MARKS_MAX) this.#marks.shift();
    }
    this.#passBegun = false;
    this.#samples.push(sample);
    while (this.#samples.length > 2 && this.#samples[1]!.atMs < sample.atMs - INTAKE_MEMORY_MS)
      this.#samples.shift();
  }

  get last(): CarriedSample | null {
    return this.#samples.at(-1) ?? null;
  }

  /**
   * Bytes that cross per byte that QEMU writes, of versions of pages that were sent before; until enough of these have
   * crossed, of all pages, which is more. null: nothing is known.
   */
  get encodedRatio(): number | null {
    const { last } = this;
    if (last === null || this.#first === null) return null;
    const again = this.#again;
    if (again === null) return ratio(this.#first, last);
    let from = again;
    for (const sample of this.#samples) {
      if (last.streamBytes - sample.streamBytes < RATIO_BYTES) break;
      if (sample.atMs > from.atMs) from = sample;
    }
    return ratio(from, last) ?? this.#pass1Ratio;
  }

  /**
   * The same over whole passes: of this one, once there is enough of it, else since the one before began, else since the
   * second. null: too little was sent again so far. Steadier than `encodedRatio`, for what cannot be taken back.
   */
  get passRatio(): number | null {
    const { last } = this;
    if (last === null || this.#again === null) return null;
    for (const mark of [...this.#marks.toReversed(), this.#again]) {
      if (last.atMs - mark.atMs < WINDOW_MS_MIN) continue;
      const found = ratio(mark, last);
      if (found !== null) return found;
    }
    return null;
  }

  /** What has crossed, or waits to, in the first pass and in all later ones; null: the first has not ended. */
  get carriedBytes(): { readonly first: number; readonly later: number } | null {
    const [first, again, last] = [this.#first, this.#again, this.last];
    if (first === null || again === null || last === null) return null;
    return { first: crossing(first, again), later: crossing(again, last) };
  }

  /** The best of the last seconds: at times there is less to send than the link would take. */
  get linkBytesPerSec(): number | null {
    const recent = this.#since(LINK_MEMORY_MS);
    const told = recent.flatMap(({ deliveredBytesPerSec: rate }) =>
      rate === null || rate <= 0 ? [] : [rate],
    );
    if (told.length > 0) return Math.max(...told);
    return bestRate(recent, ({ wireBytes }) => wireBytes);
  }

  /** What all stages together take from QEMU, whatever the encodings gain: the best of the last seconds. */
  get intakeBytesPerSec(): number | null {
    return bestRate(this.#samples, ({ streamBytes }) => streamBytes);
  }

  #since(ms: number): CarriedSample[] {
    const from = (this.last?.atMs ?? 0) - ms;
    return this.#samples.filter(({ atMs }) => atMs >= from);
  }
}

function ratio(from: CarriedSample, to: CarriedSample): number | null {
  const streamBytes = to.streamBytes - from.streamBytes;
  if (streamBytes < RATIO_BYTES_MIN) return null;
  return Math.min(RATIO_MAX, Math.max(RATIO_MIN, crossing(from, to) / streamBytes));
}

function crossing(from: CarriedSample, to: CarriedSample): number {
  return to.wireBytes + to.backlogBytes - from.wireBytes - from.backlogBytes;
}

function bestRate(samples: readonly CarriedSample[], of: (sample: CarriedSample) => number): number | null {
  let best = 0;
  let from = 0;
  for (let to = 1; to < samples.length; to++) {
    const ms = samples[to]!.atMs - samples[from]!.atMs;
    if (ms < WINDOW_MS_MIN) continue;
    best = Math.max(best, ((of(samples[to]!) - of(samples[from]!)) / ms) * 1000);
    from = to;
  }
  return best > 0 ? best : null;
}
