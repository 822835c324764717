/**
 * How much is done to a page before it leaves: the level follows what limits the rate. Pure: whoever drives it measures.
 *
 * Measured on real guest memory, batches of 120 KiB, per core: level 1 packs about 250 MB/s, level 3 220 MB/s for 1 to 4 %
 * less, level 6 60 MB/s for 5 to 8 % less. So on a slow line idle threads buy bytes, and on a line that is faster than all
 * of it the engine steps aside.
 */

/** Where the engine stands aside: QEMU's records leave as they came. */
export const ASIDE = -1;
/** zstd levels; 0: entries leave unpacked. */
export const LEVELS = [0, 1, 3, 6] as const;
/** CPU time per byte against level 1. */
const COST: readonly number[] = [0, 1, 1.2, 4.2];
/** A body's bytes per ms that one thread packs at level 1, cautiously; until measured. */
const LEVEL_1_BYTES_PER_MS = 120_000;
/** A line that is slower than this is slower than any codec: there the engine never stands aside. */
export const FAST_BYTES_PER_MS = 32_000;
/** Share of the threads' time that a higher level may need. */
const BUSY_MAX = 0.5;
/** By how much standing aside must be faster to be worth its bytes. */
const ASIDE_GAIN = 1.15;
/** A QEMU that is slower than us is left alone while we use less than this share of the threads. */
const IDLE_MAX = 0.35;
/** A page of content as QEMU's record. */
const RECORD_BYTES = 4104;
/** How long a full line is trusted to be as fast as it was. */
const LINE_MS = 5000;
/** How long a choice between standing aside and not is left alone; doubled each time it is confirmed. */
const HOLD_MS = 2000;
const HOLD_MS_MAX = 16_000;
/** Windows in a row that the line must limit before more is done. */
const PATIENCE = 2;

/** What was measured over a few tens of ms. */
export interface EffortWindow {
  readonly elapsedMs: number;
  /** What was carried: pages of content, and of zeros at a tenth. The same whatever form they leave in. */
  readonly pages: number;
  /** Payload bytes given to the link. */
  readonly sentBytes: number;
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

/**
 * Decides the level from one window to the next.
 * Goal: never slower than the plain relay, and few bytes where the line is what limits.
 */
export class Effort {
  readonly #threads: number;
  /** Place in LEVELS while coding. */
  #place = 1;
  #aside = false;
  /** Windows told, ms: the only clock here. */
  #clockMs = 0;
  #limitedByLink = 0;
  /** What the line carried when it was full, and until when that counts. */
  #lineBytesPerMs = 0;
  #lineUntilMs = 0;
  /** Not above this place before that time: it was too much. */
  #ceiling = LEVELS.length - 1;
  #ceilingUntilMs = 0;
  #ceilingHoldMs = HOLD_MS;
  /** The choice between coding and standing aside is not tried again before. */
  #untilMs = 0;
  #holdMs = HOLD_MS;
  /** Pages per ms before the trial that runs now. */
  #before: number | undefined;
  /** The first window after a change still has what was begun before it. */
  #settling = false;

  /** @param threads  that pack at once */
  constructor(threads: number) {
    this.#threads = threads;
  }

  /** One of LEVELS, or ASIDE. */
  get level(): number {
    return this.#aside ? ASIDE : LEVELS[this.#place]!;
  }

  /** What was measured since the last call. A window without pages says nothing and is left out. */
  window(w: EffortWindow): void {
    this.#clockMs += w.elapsedMs;
    if (w.pages <= 0 || w.elapsedMs <= 0) return;
    if (this.#settling) {
      this.#settling = false;
      return;
    }
    const rate = w.pages / w.elapsedMs;
    const limit = limitOf(w);
    if (this.#before !== undefined) this.#judge(rate, this.#before);
    else if (this.#aside) this.#standAside(w, rate, limit);
    else this.#code(w, rate, limit);
  }

  #code(w: EffortWindow, rate: number, limit: Limit): void {
    if (limit === "link") this.#line(w);
    if (limit === "packer" && this.#place > 0) return this.#less();
    if (this.#asideMayPay(w, rate, limit)) return this.#try(true, rate);
    this.#limitedByLink = limit === "link" ? this.#limitedByLink + 1 : 0;
    if (this.#limitedByLink >= PATIENCE) this.#more(w);
  }

  /** What the line carries, as it is now. */
  #line(w: EffortWindow): void {
    this.#lineBytesPerMs = w.sentBytes / w.elapsedMs;
    this.#lineUntilMs = this.#clockMs + LINE_MS;
  }

  /** Whether QEMU's records could cross faster than entries do, as far as can be said without trying. */
  #asideMayPay(w: EffortWindow, rate: number, limit: Limit): boolean {
    if (this.#clockMs < this.#untilMs || rate * RECORD_BYTES < FAST_BYTES_PER_MS) return false;
    // A fast line that is full may as well be a target that cannot take entries as fast as it could take records.
    if (this.#clockMs < this.#lineUntilMs && this.#lineBytesPerMs < FAST_BYTES_PER_MS) return false;
    // Nothing waits for us, and the processors have time left for QEMU.
    const busyMs = w.encodeMs + w.packMs;
    return limit !== "stream" || busyMs > IDLE_MAX * w.elapsedMs * this.#threads;
  }

  #standAside(w: EffortWindow, rate: number, limit: Limit): void {
    if (limit === "link") this.#line(w);
    if (limit === "link" && this.#lineBytesPerMs < FAST_BYTES_PER_MS) {
      // The line has become slow: nothing to try.
      this.#aside = false;
      this.#place = 1;
      this.#settling = true;
    } else if (this.#clockMs >= this.#untilMs) {
      this.#place = 0;
      this.#try(false, rate);
    }
  }

  #try(aside: boolean, rate: number): void {
    this.#before = rate;
    this.#aside = aside;
    this.#settling = true;
  }

  /** A trial has been measured: stays with what was faster; a draw is for fewer bytes. */
  #judge(rate: number, before: number): void {
    const [coded, aside] = this.#aside ? [before, rate] : [rate, before];
    const stayAside = aside > coded * ASIDE_GAIN;
    const changed = stayAside === this.#aside;
    this.#before = undefined;
    if (stayAside !== this.#aside) this.#settling = true;
    this.#aside = stayAside;
    this.#holdMs = changed ? HOLD_MS : Math.min(HOLD_MS_MAX, this.#holdMs * 2);
    this.#untilMs = this.#clockMs + this.#holdMs;
  }

  #more(w: EffortWindow): void {
    if (this.#clockMs >= this.#ceilingUntilMs) this.#ceiling = LEVELS.length - 1;
    const next = this.#place + 1;
    if (next > this.#ceiling) return;
    const level1Ms = this.#place > 0 ? w.packMs / COST[this.#place]! : w.bodyBytes / LEVEL_1_BYTES_PER_MS;
    if (level1Ms * COST[next]! > w.elapsedMs * this.#threads * BUSY_MAX) return;
    this.#place = next;
    this.#limitedByLink = 0;
    this.#settling = true;
  }

  #less(): void {
    this.#place--;
    this.#ceiling = this.#place;
    this.#ceilingUntilMs = this.#clockMs + this.#ceilingHoldMs;
    this.#ceilingHoldMs = Math.min(HOLD_MS_MAX, this.#ceilingHoldMs * 2);
    this.#settling = true;
  }
}

/** Whoever keeps the others waiting for a good part of the time. */
function limitOf(w: EffortWindow): Limit {
  if (w.linkFullMs >= w.elapsedMs * 0.5) return "link";
  if (w.packWaitMs >= w.elapsedMs * 0.25) return "packer";
  if (w.encodeMs >= w.elapsedMs * 0.5) return "encoder";
  return "stream";
}
