import type { MigrationStatusBody } from "../agent/mod.ts";
import { bitRate, bytes, time } from "./show.ts";

const CROSSING: ReadonlySet<string> = new Set(["precopy", "switchover", "handover", "postcopy"]);

/** One line on how a migration is getting on; what is not known (yet) is left out. */
export function progressLine(status: MigrationStatusBody): string {
  const parts = [`${status.vm} -> ${status.to}`, status.phase];
  const add = <T>(value: T | null, say: (value: T) => string) => {
    if (value !== null) parts.push(say(value));
  };
  add(status.pass, (pass) => `pass ${pass}`);
  // A local time of day is what people compare with their own clocks.
  add(status.linkLostAt, (at) => `link lost since ${new Date(at).toTimeString().slice(0, 8)}, trying again`);
  // Before and after memory crosses, the last figures would only mislead.
  if (!CROSSING.has(status.phase)) return parts.join("  ");
  add(status.remainingBytes, (left) => `${bytes(left)} left`);
  add(status.wireBytesPerSec, (rate) => `link ${bitRate(rate)}`);
  // QEMU says 0 until it has measured a second of it.
  add(status.dirtyBytesPerSec || null, (rate) => `guest writes ${bytes(rate)}/s`);
  add(status.expectedDowntimeMs, (ms) => `downtime about ${time(ms)}`);
  add(status.timeLeftMs, (ms) => `${time(ms)} to go`);
  return parts.join("  ");
}

const LINE_EVERY_MS = 1_000;

/** Shows progress on stderr: one line that is rewritten on a terminal, else a new line each second or phase. */
export class ProgressView {
  readonly #out: NodeJS.WriteStream;
  #shownAtMs = Number.NEGATIVE_INFINITY;
  #phase = "";
  #open = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  show(status: MigrationStatusBody): void {
    const line = progressLine(status);
    if (this.#out.isTTY) {
      // A terminal that does not know its width says 0.
      this.#out.write(`\r\x1b[2K${line.slice(0, (this.#out.columns || 80) - 1)}`);
      this.#open = true;
      return;
    }
    const nowMs = performance.now();
    if (status.phase === this.#phase && nowMs - this.#shownAtMs < LINE_EVERY_MS) return;
    this.#phase = status.phase;
    this.#shownAtMs = nowMs;
    this.#out.write(`${line}\n`);
  }

  /** A line of its own among the progress. */
  note(text: string): void {
    this.end();
    this.#out.write(`${text}\n`);
  }

  end(): void {
    if (this.#open) this.#out.write("\n");
    this.#open = false;
  }
}
