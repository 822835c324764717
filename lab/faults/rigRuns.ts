import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { connectQmp, type Qmp, type QmpEvent } from "../../src/qemu/mod.ts";

/** How soon a QEMU that has started or ended is noticed. */
const LOOK_MS = 10;
/** Both sides' times come from one clock; below this an overlap is what reading it costs. */
const OVERLAP_MS_MIN = 0.05;

interface Run {
  readonly fromMs: number;
  /** Infinity: still. */
  toMs: number;
}

/**
 * When the vCPUs of whatever QEMU listens at a path were allowed to run, told by QEMU itself: its STOP and RESUME events
 * carry the time at which they happened, so nothing between two looks is missed.
 */
export class RunWatch {
  readonly #path: string;
  readonly #runs: Run[] = [];
  readonly #watching: Promise<void>;
  #qmp: Qmp | null = null;
  #closed = false;

  /** @param path  of a QMP socket that nobody else uses; one QEMU after the other may listen there */
  constructor(path: string) {
    this.#path = path;
    this.#watching = this.#watch();
  }

  get running(): boolean {
    return this.#runs.at(-1)?.toMs === Number.POSITIVE_INFINITY;
  }

  /** Its monitor, out of band; null while no QEMU is there. */
  get qmp(): Qmp | null {
    return this.#qmp;
  }

  /** How long both ran at the same time since then, ms. @param sinceMs  wall clock */
  together(other: RunWatch, sinceMs: number): number {
    let ms = 0;
    const nowMs = wallMs();
    for (const a of this.#runs)
      for (const b of other.#runs) {
        const fromMs = Math.max(a.fromMs, b.fromMs, sinceMs);
        const overlap = Math.min(a.toMs, b.toMs, nowMs) - fromMs;
        if (overlap > OVERLAP_MS_MIN) ms += overlap;
      }
    return ms;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#qmp?.close();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#closed) {
      try {
        const qmp = await connectQmp(this.#path, { oob: true });
        if (this.#closed) return qmp.close();
        await this.#follow(qmp);
      } catch {
        // None is there (yet), or it ended while we asked.
      }
      this.#stopped(wallMs());
      this.#qmp = null;
      if (!this.#closed) await sleep(LOOK_MS);
    }
  }

  async #follow(qmp: Qmp): Promise<void> {
    // What an agent runs for a moment, to ask it what it can do, has the same options and no guest.
    if ((await qmp.execute("query-name")).name === undefined) return void (await qmp.closed);
    let told = false;
    qmp.onEvent(({ event, timestampMs }: QmpEvent) => {
      if (event !== "RESUME" && event !== "STOP") return;
      told = true;
      if (event === "STOP") this.#stopped(timestampMs);
      else if (!this.running) this.#runs.push({ fromMs: timestampMs, toMs: Number.POSITIVE_INFINITY });
    });
    const { running } = await qmp.execute("query-status");
    if (!told && running) this.#runs.push({ fromMs: wallMs(), toMs: Number.POSITIVE_INFINITY });
    this.#qmp = qmp;
    await qmp.closed;
  }

  #stopped(atMs: number): void {
    const run = this.#runs.at(-1);
    if (run !== undefined && run.toMs > atMs) run.toMs = atMs;
  }
}

/** The wall clock with fractions of a millisecond, as QEMU's events have it. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
