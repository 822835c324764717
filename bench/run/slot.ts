import { setTimeout as sleep } from "node:timers/promises";
import type { BenchCell } from "../cells/mod.ts";
import type { Home, Load, LoadClient, OpenHomeOptions, Stage } from "../types.ts";
import { orInterrupted } from "./interrupt.ts";
import { filled } from "./memory.ts";

export type Family = Home["family"];
export type OpenHome = (options: OpenHomeOptions) => Promise<Home>;

export interface SlotOptions {
  readonly family: Family;
  readonly open: OpenHome;
  readonly stage: Stage;
  readonly cell: BenchCell;
  readonly qemu: OpenHomeOptions["qemu"];
  readonly load: Load;
  readonly first: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** After it the samples that need this home fail at once: a home that does not boot twice does not boot. */
const FAILURES_MAX = 2;
/** An opening that is under way when the run is interrupted gets so long to settle, so that it can be closed. */
const SETTLE_MS = 20_000;

/** The place of one family's home in a cell, with its clients: opened when it is needed, and anew when it was lost. */
export class Slot {
  readonly family: Family;
  readonly #options: SlotOptions;
  #home: Home | null = null;
  #opening: Promise<Home> | null = null;
  #clients: LoadClient[] = [];
  #paused = false;
  #failures = 0;
  #lastFailure: unknown = null;

  constructor(options: SlotOptions) {
    this.family = options.family;
    this.#options = options;
  }

  get clients(): readonly LoadClient[] {
    return this.#clients;
  }

  /**
   * The home, running, its load warm.
   * @throws why it cannot be had; Interrupted
   */
  async running(): Promise<Home> {
    if (this.#home !== null && !this.#home.usable) await this.close();
    if (this.#home === null) return await this.#boot();
    if (this.#paused) {
      this.#home.resume();
      this.#paused = false;
      for (const client of this.#clients) await client.resume();
    }
    return this.#home;
  }

  /** Takes no CPU time until it is asked for again; nothing when there is no home. */
  async pause(): Promise<void> {
    if (this.#home === null || this.#paused) return;
    for (const client of this.#clients) await client.pause();
    this.#home.pause();
    this.#paused = true;
  }

  async #boot(): Promise<Home> {
    if (this.#failures >= FAILURES_MAX) throw this.#lastFailure;
    const { signal } = this.#options;
    try {
      this.#opening = this.#options.open(this.#options);
      this.#home = await orInterrupted(this.#opening, signal);
      this.#opening = null;
      await orInterrupted(this.#warm(this.#home), signal);
      this.#failures = 0;
      return this.#home;
    } catch (error) {
      if (!signal.aborted) {
        this.#failures++;
        this.#lastFailure = error;
        await this.close();
      }
      throw error;
    }
  }

  async #warm(home: Home): Promise<void> {
    const { load, stage, cell, first } = this.#options;
    // at once for all: a load says only once that it is warm
    const starts = await Promise.allSettled(
      home.guests.map((guest) => {
        const nic = load.network ? stage.nic(first + guest.index) : null;
        return load.start({
          guest,
          network: nic === null ? null : { address: nic.address, client: stage.client! },
        });
      }),
    );
    this.#clients = starts.flatMap((start) => (start.status === "fulfilled" ? (start.value ?? []) : []));
    const failed = starts.find((start) => start.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    if (cell.fillMib > 0) await Promise.all(home.guests.map((guest) => filled(guest, cell.fillMib)));
  }

  /** At any moment, also while it boots. Leaves nothing; the next `running` boots anew. */
  async close(): Promise<void> {
    const clients = this.#clients;
    const home = this.#home ?? (await settled(this.#opening));
    this.#clients = [];
    this.#home = null;
    this.#opening = null;
    this.#paused = false;
    // whatever one of them has to say, all are closed
    const ends = [
      ...(await Promise.allSettled(clients.map((client) => client.stop()))),
      ...(await Promise.allSettled([home?.close()])),
    ];
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

/** Nothing of a home that failed to open: it has cleaned up after itself, and its error went to who asked for it. */
async function settled(opening: Promise<Home> | null): Promise<Home | null> {
  if (opening === null) return null;
  return await Promise.race([opening.catch(() => null), sleep(SETTLE_MS, null, { ref: false })]);
}
