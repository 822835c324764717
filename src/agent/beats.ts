import type { Beat, BeatFigures, BeatWindow } from "./context.ts";

/** Eleven minutes at one beat each 10 ms. Windows measure longer times without keeping beats. */
const KEPT_MAX = 65_536;

/** The newest heartbeats of a guest in a ring, and open windows over them. */
export class Beats {
  readonly #ring: Beat[] = [];
  readonly #windows = new Set<Window>();
  readonly #keptMax: number;
  #next = 0;
  #total = 0;

  constructor(keptMax = KEPT_MAX) {
    this.#keptMax = keptMax;
  }

  get total(): number {
    return this.#total;
  }

  get last(): Beat | null {
    if (this.#total === 0) return null;
    return this.#ring[(this.#next + this.#ring.length - 1) % this.#ring.length] ?? null;
  }

  add(beat: Beat): void {
    if (this.#ring.length < this.#keptMax) this.#ring.push(beat);
    else this.#ring[this.#next] = beat;
    this.#next = (this.#next + 1) % this.#keptMax;
    this.#total += 1;
    for (const window of this.#windows) window.add(beat);
  }

  /** Lets go of all that are kept; their number and open windows stay. */
  forget(): void {
    this.#ring.length = 0;
    this.#next = 0;
  }

  /** Kept beats that arrived at this monotonic time or later, oldest first. */
  since(monoMs: number): Beat[] {
    const full = this.#ring.length === this.#keptMax;
    const ordered = full
      ? [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)]
      : [...this.#ring];
    return ordered.filter((beat) => beat.monoMs >= monoMs);
  }

  openWindow(monoMs: number): BeatWindow {
    const window = new Window(monoMs);
    this.#windows.add(window);
    return { read: () => window.figures(), stop: () => void this.#windows.delete(window) };
  }
}

class Window {
  #beats = 0;
  #first: Beat | null = null;
  #last: Beat | null = null;
  #longestGapMs = 0;
  #previousMs: number;

  constructor(openedAtMs: number) {
    this.#previousMs = openedAtMs;
  }

  add(beat: Beat): void {
    this.#beats += 1;
    this.#first ??= beat;
    this.#last = beat;
    this.#longestGapMs = Math.max(this.#longestGapMs, beat.monoMs - this.#previousMs);
    this.#previousMs = beat.monoMs;
  }

  figures(): BeatFigures {
    const longestGapMs = this.#beats === 0 ? null : this.#longestGapMs;
    return { beats: this.#beats, first: this.#first, last: this.#last, longestGapMs };
  }
}
