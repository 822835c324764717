/**
 * How much is done to a page before it leaves: the level follows what limits the rate. Pure: whoever drives it measures.
 *
 * Level 2 packs better than 1 and about as well as 3, and faster than both (figures: packer.ts). Level 6 was measured at some 60
 * MB/s and core. So on a slow line idle threads buy bytes, and on a line that is faster than all of it the engine steps aside.
 */

/** Where the engine stands aside: QEMU's records leave as they came. */
export const ASIDE = -1;
/** zstd levels; 0: entries leave unpacked. */
export const LEVELS = [0, 2, 6] as const;
/** CPU time per byte against level 2. */
const COST: readonly number[] = [0, 1, 3.5];
/** What one thread packs per ms at level 2, and what becomes of it; until measured. */
const PACKED_BYTES_PER_MS = 150_000;
const PACKED_SHARE = 0.5;
/** A line that is slower than this is slower than any codec: there the engine never stands aside. */
export const FAST_BYTES_PER_MS = 32_000;
/**
 * What was held up somewhere comes in a burst: a line counts as fast when it carries so much over a sample, or so much in one
 * window that no burst can be the reason.
 */
const SAMPLE_MS = 200;
const BURST_BYTES_PER_MS = 3 * FAST_BYTES_PER_MS;
/**
 * A line that was never full, and carries more than this while we are what limits: nobody knows how fast it is, and standing
 * aside may be tried on it. More than what a line of 100 Mbit carries, so that those are left alone.
 */
const UNKNOWN_BYTES_PER_MS = FAST_BYTES_PER_MS / 2;
/** A page of content as QEMU's record. */
const RECORD_BYTES = 4104;
/** Share of the processors' time that a level above 2 may need. */
const BUSY_MAX = 0.5;
/** A QEMU that is slower than us is left alone while we use less than this share of the processors. */
const IDLE_MAX = 0.35;
/** What a change must promise. */
const GAIN = 1.1;
/** What packing less must promise on a slow line: it is about twice the bytes. */
const LESS_GAIN = 1.3;
/** What standing aside must gain to be worth its bytes. */
const ASIDE_GAIN = 1.15;
/** How long what was measured of the line counts. */
const LINE_MS = 5000;
/** How long a choice is left alone; doubled each time it is confirmed. */
const HOLD_MS = 2000;
const HOLD_MS_MAX = 16_000;
/** The same for packing that was given up on a slow line: shorter, because a machine is busy with others for moments. */
const PACK_HOLD_MS = 500;
const PACK_HOLD_MS_MAX = 4000;
/** Windows in a row that the line must limit before more is done. */
const PATIENCE = 2;
/** And before more is done than packing at all: a few percent are not worth a busy moment. */
const MORE_PATIENCE = 10;
/** Windows in a row that the packer must limit before less is packed for a slow line. */
const LESS_PATIENCE = 16;
/** Windows in a row that the packer must limit before a line that nobody knows is tried with less. */
const PACKER_PATIENCE = 10;
/** Windows that a trial of standing aside, or of not, is measured for. */
const TRIAL_WINDOWS = 2;

/** What was measured over a few tens of ms. */
export interface EffortWindow {
  readonly elapsedMs: number;
  /** What was carried: pages of content, and of zeros at a tenth. The same whatever form they leave in. */
  readonly pages: number;
  /** Payload bytes given to the link. */
  readonly sentBytes: number;
  /** Of what was given to the link, what the target has taken: a burst into the window says nothing of the line. */
  readonly deliveredBytes: number;
  /** Bytes of bodies finished, before packing. */
  readonly bodyBytes: number;
  /** The link took no more. */
  readonly linkFullMs: number;
  /** The link would have taken a frame that was still being packed. */
  readonly packWaitMs: number;
  /** The main loop was hashing and encoding. */
  readonly encodeMs: number;
  /** Time that packing threads were busy, all together. */
  readonly packMs: number;
}

type Limit = "link" | "packer" | "encoder" | "stream";

interface Trial {
  /** Pages per ms before. */
  readonly before: number;
  pages: number;
  ms: number;
  windows: number;
}

/**
 * Decides the level from one window to the next.
 * Goal: never slower than the plain relay, and few bytes where the line is what limits.
 */
export class Effort {
  readonly #threads: number;
  readonly #processors: number;
  /** Place in LEVELS while coding. */
  #place = 1;
  #aside = false;
  /** Windows told, ms: the only clock here. */
  #clockMs = 0;
  #limitedByLink = 0;
  #limitedByPacker = 0;
  /** Windows in a row in which we limited a line that nobody knows. */
  #limitedByUs = 0;
  /** The first window after a change still has what was begun before it. */
  #settling = false;
  /** Pages per ms while coding, smoothed. */
  #codedRate = 0;
  readonly #line = new Line();
  readonly #cost = new PackCost();
  #trial: Trial | undefined;
  /** The choice between coding and standing aside is not tried again before. */
  #untilMs = 0;
  #holdMs = HOLD_MS;

  /**
   * @param threads  that pack at once
   * @param processors  of the machine, as far as packing may use them
   */
  constructor(threads: number, processors = threads) {
    this.#threads = threads;
    this.#processors = processors;
  }

  /** One of LEVELS, or ASIDE. */
  get level(): number {
    return this.#aside ? ASIDE : LEVELS[this.#place]!;
  }

  /** What was measured since the last call. A window without pages says nothing and is left out. */
  window(w: EffortWindow): void {
    this.#clockMs += w.elapsedMs;
    if (w.pages <= 0 || w.elapsedMs <= 0) return;
    const limit = limitOf(w);
    this.#line.window(w, limit, this.#clockMs);
    if (this.#settling) {
      this.#settling = false;
      return;
    }
    if (!this.#aside && this.#place > 0) this.#cost.window(w, COST[this.#place]!, this.#clockMs);
    if (this.#trial !== undefined) this.#judge(w, this.#trial, limit);
    else if (this.#aside) this.#standAside(w, limit);
    else this.#code(w, limit);
  }

  #code(w: EffortWindow, limit: Limit): void {
    const rate = w.pages / w.elapsedMs;
    this.#codedRate = this.#codedRate === 0 ? rate : (this.#codedRate + rate) / 2;
    this.#limitedByLink = limit === "link" ? this.#limitedByLink + 1 : 0;
    this.#limitedByPacker = limit === "packer" ? this.#limitedByPacker + 1 : 0;
    this.#limitedByUs = this.#limits(w, limit) ? this.#limitedByUs + 1 : 0;
    if (limit === "packer" && this.#place > 0 && this.#lessPays(w, rate)) {
      this.#cost.trust(this.#clockMs);
      this.#move(this.#place - 1);
    } else if (this.#asideMayPay(w, rate, limit)) {
      this.#try(true, this.#codedRate);
    } else if (
      this.#limitedByLink >= (this.#place === 0 ? PATIENCE : MORE_PATIENCE) &&
      this.#morePays(w, rate)
    ) {
      this.#move(this.#place + 1);
    }
  }

  /** Whether packing less would carry more pages, as far as the line is known. */
  #lessPays(w: EffortWindow, rate: number): boolean {
    if (this.#place > 1) return true;
    const lineBytesPerMs = this.#line.bytesPerMs(this.#clockMs);
    if (lineBytesPerMs !== undefined && !this.#line.isFast(this.#clockMs)) {
      // One window in which the machine was busy with something else is no reason: what follows is sent unpacked.
      if (this.#limitedByPacker < LESS_PATIENCE || w.bodyBytes === 0) return false;
      return (lineBytesPerMs * w.pages) / w.bodyBytes > Math.max(rate, this.#codedRate) * LESS_GAIN;
    }
    // At first the packer limits even on a slow line, until the window is full for the first time.
    return this.#line.isFast(this.#clockMs) || this.#limitedByPacker >= PACKER_PATIENCE;
  }

  /** Whether the line, being what limits, would carry more pages if more were done to them. */
  #morePays(w: EffortWindow, rate: number): boolean {
    const next = this.#place + 1;
    if (next === LEVELS.length || w.bodyBytes === 0) return false;
    const packMsPerPage = (this.#cost.msPerByte(this.#clockMs) * COST[next]! * w.bodyBytes) / w.pages;
    // Above level 2 there are a few percent to gain, below it half of the bytes.
    if (next > 1) return rate * packMsPerPage <= this.#processors * BUSY_MAX;
    const carried = rate / this.#cost.share;
    return Math.min(carried, this.#threads / packMsPerPage) > rate * GAIN;
  }

  /** Whether QEMU's records could cross faster than entries do, as far as can be said without trying. */
  #asideMayPay(w: EffortWindow, rate: number, limit: Limit): boolean {
    if (this.#clockMs < this.#untilMs || rate * RECORD_BYTES < FAST_BYTES_PER_MS) return false;
    // A fast line that is full may as well be a target that cannot take entries as fast as it could take records.
    if (this.#line.isFast(this.#clockMs)) return limit === "link" || this.#busy(w, limit);
    return this.#limitedByUs >= PATIENCE;
  }

  /** Whether QEMU waits for us: encoder and packer, or the processors have no time left for it. */
  #busy(w: EffortWindow, limit: Limit): boolean {
    if (limit !== "stream") return limit !== "link";
    return w.encodeMs + w.packMs > IDLE_MAX * w.elapsedMs * this.#processors;
  }

  /** Whether it is us that kept a line of unknown speed from carrying more. */
  #limits(w: EffortWindow, limit: Limit): boolean {
    if (this.#line.bytesPerMs(this.#clockMs) !== undefined) return false;
    return w.deliveredBytes / w.elapsedMs > UNKNOWN_BYTES_PER_MS && this.#busy(w, limit);
  }

  #standAside(w: EffortWindow, limit: Limit): void {
    if (limit === "link" && w.deliveredBytes / w.elapsedMs < FAST_BYTES_PER_MS) {
      // The line has become slow: nothing to try.
      this.#aside = false;
      this.#move(1);
    } else if (this.#clockMs >= this.#untilMs) {
      this.#try(false, w.pages / w.elapsedMs);
    }
  }

  #try(aside: boolean, before: number): void {
    this.#trial = { before, pages: 0, ms: 0, windows: 0 };
    this.#aside = aside;
    this.#settling = true;
  }

  /** Stays with what was faster once a trial has been measured; a draw is for fewer bytes. */
  #judge(w: EffortWindow, trial: Trial, limit: Limit): void {
    trial.pages += w.pages;
    trial.ms += w.elapsedMs;
    const slow = this.#aside && limit === "link" && w.deliveredBytes / w.elapsedMs < FAST_BYTES_PER_MS;
    if (++trial.windows < TRIAL_WINDOWS && !slow) return;
    const rate = trial.pages / trial.ms;
    const [coded, aside] = this.#aside ? [trial.before, rate] : [rate, trial.before];
    const stayAside = aside > coded * ASIDE_GAIN;
    const asBefore = stayAside !== this.#aside;
    this.#trial = undefined;
    this.#codedRate = coded;
    this.#settling = asBefore;
    this.#aside = stayAside;
    this.#holdMs = asBefore ? Math.min(HOLD_MS_MAX, this.#holdMs * 2) : HOLD_MS;
    this.#untilMs = this.#clockMs + this.#holdMs;
  }

  #move(place: number): void {
    this.#place = place;
    this.#limitedByLink = 0;
    this.#limitedByPacker = 0;
    this.#limitedByUs = 0;
    this.#settling = true;
  }
}

/** What the line carries, as far as it has shown. */
class Line {
  #fullBytesPerMs = 0;
  #fullUntilMs = 0;
  #fastUntilMs = 0;
  /** Of the sample that is being taken. */
  #bytes = 0;
  #ms = 0;

  window(w: EffortWindow, limit: Limit, nowMs: number): void {
    const bytesPerMs = w.deliveredBytes / w.elapsedMs;
    if (limit === "link") {
      const known = nowMs < this.#fullUntilMs;
      this.#fullBytesPerMs = known ? (3 * this.#fullBytesPerMs + bytesPerMs) / 4 : bytesPerMs;
      this.#fullUntilMs = nowMs + LINE_MS;
    }
    this.#bytes += w.deliveredBytes;
    this.#ms += w.elapsedMs;
    const fast =
      bytesPerMs >= BURST_BYTES_PER_MS ||
      (this.#ms >= SAMPLE_MS && this.#bytes / this.#ms >= FAST_BYTES_PER_MS);
    if (fast) this.#fastUntilMs = nowMs + LINE_MS;
    if (this.#ms < SAMPLE_MS) return;
    if (!fast && limit === "link") this.#fastUntilMs = 0;
    this.#bytes = 0;
    this.#ms = 0;
  }

  /** What it carried when it was full; undefined when it was not of late. */
  bytesPerMs(nowMs: number): number | undefined {
    return nowMs < this.#fullUntilMs ? this.#fullBytesPerMs : undefined;
  }

  isFast(nowMs: number): boolean {
    return nowMs < this.#fastUntilMs;
  }
}

/** What packing costs on this machine, as busy as it is. */
class PackCost {
  /** Packed bytes per unpacked byte. */
  share = PACKED_SHARE;
  #msPerByte = 1 / PACKED_BYTES_PER_MS;
  #untilMs = 0;
  #holdMs = PACK_HOLD_MS;

  /** @param cost  of the level in use, against level 2 */
  window(w: EffortWindow, cost: number, nowMs: number): void {
    if (w.bodyBytes === 0 || w.packMs === 0) return;
    const msPerByte = w.packMs / w.bodyBytes / cost;
    this.#msPerByte = (this.#msPerByte + msPerByte) / 2;
    this.#untilMs = nowMs + HOLD_MS;
    this.share = (this.share + Math.max(0.02, Math.min(1, w.sentBytes / w.bodyBytes))) / 2;
  }

  /** Packing was given up for what it cost: it is not taken up again for a while, longer each time. */
  trust(nowMs: number): void {
    this.#untilMs = nowMs + this.#holdMs;
    this.#holdMs = Math.min(PACK_HOLD_MS_MAX, this.#holdMs * 2);
  }

  /** At level 1. What was measured long ago, on a machine that was busy then, counts no more. */
  msPerByte(nowMs: number): number {
    return nowMs < this.#untilMs ? this.#msPerByte : 1 / PACKED_BYTES_PER_MS;
  }
}

/**
 * Whoever keeps the others waiting for a good part of the time. A window is full until a quarter of it has been taken, and
 * the line is busy with what is left of it meanwhile: so a link that is full now and then limits.
 */
function limitOf(w: EffortWindow): Limit {
  if (w.linkFullMs >= w.elapsedMs * 0.2) return "link";
  if (w.packWaitMs >= w.elapsedMs * 0.25) return "packer";
  if (w.encodeMs >= w.elapsedMs * 0.5) return "encoder";
  return "stream";
}
