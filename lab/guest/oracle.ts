/** One line of the guest's console, parsed. `other` is everything that is not the workload's. */
export type GuestLine =
  | { readonly kind: "beat"; readonly sequence: number; readonly guestMs: number }
  | { readonly kind: "verified"; readonly pass: number; readonly ok: boolean; readonly pages: number }
  | { readonly kind: "ready"; readonly setBytes: number }
  | { readonly kind: "corrupt"; readonly text: string }
  | { readonly kind: "panic"; readonly text: string }
  | { readonly kind: "other"; readonly text: string };

/** Parses one line of the guest's console, without its line end. Never throws. */
export function parseGuestLine(line: string): GuestLine {
  const text = line.trim();
  const beat = /^H (\d+) (\d+)$/.exec(text);
  if (beat) return { kind: "beat", sequence: Number(beat[1]), guestMs: Number(beat[2]) };
  const verified = /^V (\d+) (OK|BAD) pages=(\d+) /.exec(text);
  if (verified) {
    return {
      kind: "verified",
      pass: Number(verified[1]),
      ok: verified[2] === "OK",
      pages: Number(verified[3]),
    };
  }
  const ready = /^R ready ws=(\d+) /.exec(text);
  if (ready) return { kind: "ready", setBytes: Number(ready[1]) };
  if (/CORRUPT/.test(text)) return { kind: "corrupt", text };
  if (/Kernel panic|Oops:|BUG:/.test(text)) return { kind: "panic", text };
  return { kind: "other", text };
}

/**
 * Follows the console of one guest over any number of migrations: the oracle's verdict and the heartbeat.
 * Feed it what the console of whichever QEMU runs the guest prints; several QEMUs may take turns. A line that is cut
 * by the switchover comes in two halves from two consoles, which is why a half line is kept, not dropped.
 */
export class GuestOracle {
  /** Every CORRUPT line, bad pass and panic, in order. Empty means clean so far. */
  readonly faults: string[] = [];
  /** Verification passes of the whole working set that ended OK, as the guest counts them. */
  passesOk = 0;
  beats = 0;
  ready = false;
  lastBeatAtMs: number | null = null;
  #blackoutMs = 0;
  #partial = "";

  /**
   * @param chunk  bytes of the console, cut anywhere
   * @param nowMs  the watcher's monotonic clock
   * @returns the lines that this chunk completed
   */
  feed(chunk: string, nowMs: number): GuestLine[] {
    const pieces = (this.#partial + chunk).split("\n");
    this.#partial = pieces.pop()!;
    const lines = pieces.filter((piece) => piece.trim() !== "").map(parseGuestLine);
    for (const line of lines) this.#take(line, nowMs);
    return lines;
  }

  /** The longest time between two heartbeats since the last call; what a user of the guest would notice. */
  takeBlackoutMs(): number {
    const blackoutMs = this.#blackoutMs;
    this.#blackoutMs = 0;
    return blackoutMs;
  }

  #take(line: GuestLine, nowMs: number): void {
    if (line.kind === "beat") {
      this.beats++;
      if (this.lastBeatAtMs !== null)
        this.#blackoutMs = Math.max(this.#blackoutMs, nowMs - this.lastBeatAtMs);
      this.lastBeatAtMs = nowMs;
    } else if (line.kind === "ready") {
      this.ready = true;
    } else if (line.kind === "verified") {
      if (line.ok) this.passesOk++;
      else this.faults.push(`verification pass ${line.pass} found differences`);
    } else if (line.kind === "corrupt" || line.kind === "panic") {
      this.faults.push(line.text);
    }
  }
}
