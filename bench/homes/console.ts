import { GuestOracle, parseGuestLine } from "../../lab/guest/mod.ts";

/** Half an hour of heartbeats; more is never looked at. */
const BEATS_KEPT_MAX = 200_000;

type Listener = (line: string, atMs: number) => void;

/**
 * One guest's console over all of its moves: whole lines for whoever listens, the oracle's verdict, and when heartbeats
 * came. Fed by whichever QEMUs run the guest; a line that was cut by the switchover is put together again.
 */
export class GuestConsole {
  readonly #oracle = new GuestOracle();
  readonly #listeners = new Set<Listener>();
  readonly #ready = Promise.withResolvers<void>();
  #beatsAtMs: number[] = [];
  #partial = "";

  /**
   * @param text  as it came, cut anywhere
   * @param readAtMs  `performance.now()` when it was read
   */
  feed(text: string, readAtMs = performance.now()): void {
    const atMs = performance.timeOrigin + readAtMs;
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop()!;
    for (const raw of lines) this.#take(raw.replace(/\r+$/, ""), atMs);
  }

  get ready(): boolean {
    return this.#oracle.ready;
  }

  /** Resolves when the workload runs. */
  get whenReady(): Promise<void> {
    return this.#ready.promise;
  }

  /** What the oracle found; empty: clean so far. */
  get faults(): readonly string[] {
    return this.#oracle.faults;
  }

  /** Verification passes over the whole working set that ended well. */
  get passesOk(): number {
    return this.#oracle.passesOk;
  }

  /** Heartbeats so far. */
  get beats(): number {
    return this.#oracle.beats;
  }

  onLine(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * The longest time without a heartbeat within a span, silence up to its end included.
   * @returns ms; null when the guest was not heard in it at all
   */
  longestGapMs(fromMs: number, toMs: number): number | null {
    const inside = this.#beatsAtMs.filter((ms) => ms >= fromMs && ms <= toMs);
    if (inside.length === 0) return null;
    let previousMs = inside[0]!;
    let longestMs = 0;
    for (const ms of [...inside, toMs]) {
      longestMs = Math.max(longestMs, ms - previousMs);
      previousMs = ms;
    }
    return longestMs;
  }

  /** The longest time without a heartbeat within a span; what passes until the first one counts as well. */
  silenceMs(fromMs: number, toMs: number): number {
    const inside = this.#beatsAtMs.filter((ms) => ms > fromMs && ms <= toMs);
    const edges = [fromMs, ...inside, toMs];
    return edges.slice(1).reduce((longest, ms, i) => Math.max(longest, ms - edges[i]!), 0);
  }

  #take(line: string, atMs: number): void {
    if (line.trim() === "") return;
    this.#oracle.feed(`${line}\n`, atMs);
    if (this.#oracle.ready) this.#ready.resolve();
    if (parseGuestLine(line).kind !== "beat") {
      for (const listener of [...this.#listeners]) listener(line, atMs);
      return;
    }
    this.#beatsAtMs.push(atMs);
    if (this.#beatsAtMs.length > BEATS_KEPT_MAX) this.#beatsAtMs = this.#beatsAtMs.slice(BEATS_KEPT_MAX / 2);
  }
}
