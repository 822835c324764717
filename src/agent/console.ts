import type { OracleFigures } from "./context.ts";

const LINE_CHARS_MAX = 200;

/** What a line of a guest's serial console means to us. */
export type ConsoleLine =
  | { readonly kind: "beat"; readonly seq: number; readonly guestMs: number }
  | { readonly kind: "verified"; readonly count: number }
  | { readonly kind: "corrupt"; readonly text: string }
  | { readonly kind: "other" };

/**
 * "H <seq> <ms>" heartbeat, "V <n> OK" the oracle checked its whole working set, "V <n> BAD" or
 * "CORRUPT ..." it found a difference.
 * Everything else is the guest's own.
 */
export function parseConsoleLine(line: string): ConsoleLine {
  const beat = /^H (\d{1,15}) (\d{1,15})$/.exec(line);
  if (beat !== null) return { kind: "beat", seq: Number(beat[1]), guestMs: Number(beat[2]) };
  const verified = /^V (\d{1,15}) OK\b/.exec(line);
  if (verified !== null) return { kind: "verified", count: Number(verified[1]) };
  // Anywhere: a line that was cut by the move may be joined to it, and this one must not be missed.
  if (line.includes("CORRUPT") || /^V \d{1,15} BAD\b/.test(line))
    return { kind: "corrupt", text: line.slice(0, LINE_CHARS_MAX) };
  return { kind: "other" };
}

/** Counts what the oracle says. */
export class Oracle implements OracleFigures {
  verified = 0;
  lastVerified: number | null = null;
  corrupt = 0;
  lastCorrupt: string | null = null;

  see(line: ConsoleLine): void {
    if (line.kind === "verified") {
      this.verified += 1;
      this.lastVerified = line.count;
    } else if (line.kind === "corrupt") {
      this.corrupt += 1;
      this.lastCorrupt = line.text;
    }
  }
}
