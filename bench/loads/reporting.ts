import { GodwitError } from "../../src/errors/mod.ts";
import { nowMs } from "../clock.ts";
import type { HomeGuest, Load, LoadClient, Operations } from "../types.ts";
import { initrdOf } from "./images.ts";
import { parseReport } from "./report.ts";
import { failureIn, waitForLine } from "./wait.ts";

/** The first operation comes after the load has filled what it fills, on a busy machine under TCG. */
const WARM_MS = 180_000;

/** A load that runs within the guest and reports its work on the console. */
export function reportingLoad(about: Pick<Load, "name" | "about"> & { readonly unit: string }): Load {
  const { name } = about;
  return {
    ...about,
    network: false,
    get initrd() {
      return initrdOf(name);
    },
    append: () => `gw.load=${name}`,
    async start({ guest }) {
      await waitForLine(guest, name, new RegExp(`^L ${name} \\d+ [1-9]`), WARM_MS);
      return new ReportReader(guest, name);
    },
  };
}

/** Collects what the load reports. What overlaps a pause of the guest is left out: its time is not the load's. */
export class ReportReader implements LoadClient {
  readonly #load: string;
  readonly #off: () => void;
  #endedAtMs: number[] = [];
  #latencyMs: number[] = [];
  #failure: string | null = null;
  #pausedAtMs = Number.POSITIVE_INFINITY;
  #resumedAtMs = Number.POSITIVE_INFINITY;

  constructor(guest: HomeGuest, load: string) {
    this.#load = load;
    this.#off = guest.onLine((line, atMs) => this.#take(line, atMs));
  }

  /** @throws BENCH_LOAD_FAILED when the load has said that it is broken */
  async take(): Promise<Operations> {
    if (this.#failure !== null)
      throw new GodwitError("BENCH_LOAD_FAILED", { load: this.#load, reason: this.#failure });
    const taken = {
      endedAtMs: Float64Array.from(this.#endedAtMs),
      latencyMs: Float64Array.from(this.#latencyMs),
      requestsLost: null,
      connectionsLost: null,
    };
    this.#endedAtMs = [];
    this.#latencyMs = [];
    return taken;
  }

  async pause(): Promise<void> {
    this.#pausedAtMs = nowMs();
    this.#resumedAtMs = Number.POSITIVE_INFINITY;
  }

  async resume(): Promise<void> {
    this.#resumedAtMs = nowMs();
  }

  async stop(): Promise<void> {
    this.#off();
  }

  #take(line: string, atMs: number): void {
    this.#failure ??= failureIn(this.#load, line);
    const reported = parseReport(this.#load, line, atMs);
    if (reported === null) return;
    let lastMs = this.#endedAtMs.at(-1) ?? 0;
    for (const [index, ended] of reported.endedAtMs.entries()) {
      const latencyMs = reported.latencyMs[index]!;
      if (ended > this.#pausedAtMs && ended - latencyMs < this.#resumedAtMs) continue;
      lastMs = Math.max(lastMs, ended); // two lines may come closer than they were printed
      this.#endedAtMs.push(lastMs);
      this.#latencyMs.push(latencyMs);
    }
  }
}
