import { setTimeout as sleep } from "node:timers/promises";
import { isGodwitError } from "../errors/mod.ts";
import { balloonPath } from "./balloonDevice.ts";
import type { Monitor } from "./monitor.ts";

/** What the guest's balloon driver says of its memory. null: this guest's driver does not say. */
export interface GuestFigures {
  readonly totalBytes: number | null;
  readonly freeBytes: number | null;
  /** What the guest could have without swapping: free memory and most of the page cache. */
  readonly availableBytes: number | null;
  readonly cacheBytes: number | null;
  /** Since the guest's boot. */
  readonly majorFaults: number | null;
  readonly swapOutBytes: number | null;
}

const STATS = "guest-stats";
const INTERVAL = "guest-stats-polling-interval";
const POLL_MS = 10;
/** Of one command: the main loop of a busy QEMU may take its time, and hangs for good at a switchover. */
const QMP_MS = 3_000;

/** The memory balloon of one running QEMU. Errors of every method: those of QMP. */
export class Balloon {
  readonly #monitor: Monitor;
  readonly #path: string;

  private constructor(monitor: Monitor, path: string) {
    this.#monitor = monitor;
    this.#path = path;
  }

  /** null: this machine has no balloon. */
  static async find(monitor: Monitor): Promise<Balloon | null> {
    const path = await balloonPath(monitor);
    return path === null ? null : new Balloon(monitor, path);
  }

  /** RAM that the guest has, in bytes: its size without what the balloon holds. */
  async sizeBytes(): Promise<number> {
    return (await this.#monitor.execute("query-balloon", {}, { timeoutMs: QMP_MS })).actual;
  }

  /** Asks the guest to come to this size. It does so by itself, as far as it can; `sizeBytes` tells. */
  async resize(bytes: number): Promise<void> {
    await this.#monitor.execute("balloon", { value: Math.max(1, bytes) }, { timeoutMs: QMP_MS });
  }

  /**
   * Asks the guest's driver for its figures now; a driver that lives answers within milliseconds.
   * QEMU asks only at intervals of whole seconds, but at once when the interval is switched on. It stamps answers with
   * whole seconds, so an answer with the same figures in the same second is told from none by the next second's.
   *
   * @returns null when no answer came in time: the guest has no driver, or stands still
   */
  async ask(timeoutMs: number): Promise<GuestFigures | null> {
    const before = await this.#read();
    const interval = await this.#get(INTERVAL);
    try {
      await this.#set(INTERVAL, 0);
      await this.#set(INTERVAL, 1);
      const until = performance.now() + timeoutMs;
      for (;;) {
        const now = await this.#read();
        if (now !== null && now.text !== before?.text) return now.memory;
        if (performance.now() >= until) return null;
        await sleep(POLL_MS);
      }
    } finally {
      await this.#set(INTERVAL, interval);
    }
  }

  async #read(): Promise<{ readonly text: string; readonly memory: GuestFigures } | null> {
    try {
      const answer = (await this.#get(STATS)) as { stats: Record<string, number>; "last-update": number };
      if (answer["last-update"] === 0) return null;
      return { text: JSON.stringify(answer), memory: memoryOf(answer.stats) };
    } catch (error) {
      // Versions differ in what they say before the guest's first answer.
      if (isGodwitError(error) && error.code === "QMP_ERROR") return null;
      throw error;
    }
  }

  #get(property: string): Promise<unknown> {
    return this.#monitor.execute("qom-get", { path: this.#path, property }, { timeoutMs: QMP_MS });
  }

  async #set(property: string, value: unknown): Promise<void> {
    await this.#monitor.execute("qom-set", { path: this.#path, property, value }, { timeoutMs: QMP_MS });
  }
}

/** Figures by the names of QEMU's docs/interop/virtio-balloon-stats.rst; one that the guest did not give is 2^64 - 1. */
function memoryOf(stats: Readonly<Record<string, number>>): GuestFigures {
  const figure = (name: string) => {
    const value = stats[name];
    return value === undefined || value > Number.MAX_SAFE_INTEGER ? null : value;
  };
  return {
    totalBytes: figure("stat-total-memory"),
    freeBytes: figure("stat-free-memory"),
    availableBytes: figure("stat-available-memory"),
    cacheBytes: figure("stat-disk-caches"),
    majorFaults: figure("stat-major-faults"),
    swapOutBytes: figure("stat-swap-out"),
  };
}
