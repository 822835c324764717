import type { TimelinePoint } from "../../src/bench/mod.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import type { MigrationInfo, Monitor, QmpEvent } from "../../src/qemu/mod.ts";
import { nowMs } from "../clock.ts";

const SAMPLE_MS = 100;
const SAMPLE_MS_MAX = 5_000;
const ENDS = ["completed", "failed", "cancelled", "postcopy-paused"] as const;
export type MigrationEnd = (typeof ENDS)[number];

/** Follows one stock migration by the events of both QEMUs, and asks the source ten times a second how far it is. */
export class StockWatch {
  readonly timeline: TimelinePoint[] = [];
  /** QEMU's own wall clock, the same for both: one machine. */
  stoppedAtMs: number | null = null;
  resumedAtMs: number | null = null;
  /** When the events were read, on the bench's clock. */
  endReadAtMs: number | null = null;
  resumeReadAtMs: number | null = null;
  /** The newest that was heard; after a cancelled move QEMU forgets it. */
  ram: MigrationInfo["ram"];
  readonly #ended = Promise.withResolvers<MigrationEnd>();
  readonly #resumed = Promise.withResolvers<void>();
  readonly #active = Promise.withResolvers<void>();
  readonly #swept = Promise.withResolvers<void>();
  readonly #sourceGone = Promise.withResolvers<never>();
  readonly #targetGone = Promise.withResolvers<never>();
  readonly #source: Monitor;
  readonly #orderedAtMs: number;
  readonly #off: (() => void)[];
  #timer: NodeJS.Timeout | undefined;
  #status = "setup";
  #wasPostcopy = false;
  #asking = false;
  #closed = false;

  constructor(source: Monitor, target: Monitor, orderedAtMs: number) {
    this.#source = source;
    this.#orderedAtMs = orderedAtMs;
    for (const { promise } of [this.#sourceGone, this.#targetGone]) promise.catch(() => undefined); // told to whoever waits for something
    this.#off = [
      source.onEvent((event) => this.#fromSource(event)),
      target.onEvent((event) => this.#fromTarget(event)),
    ];
    void source.closed.then((cause) => {
      this.#sourceGone.reject(new GodwitError("SOURCE_QEMU_GONE", { phase: this.#status }, { cause }));
    });
    void target.closed.then((cause) => {
      this.#targetGone.reject(new GodwitError("TARGET_QEMU_GONE", { phase: this.#status }, { cause }));
    });
  }

  /** From `migrate` on: before, the source would tell of the migration that brought the guest to it. */
  begin(): void {
    this.#timer = setInterval(() => void this.#sample(), SAMPLE_MS);
  }

  /** The source says how it ended. Rejects when one of the QEMUs is gone. */
  get ended(): Promise<MigrationEnd> {
    return Promise.race([this.sourceEnded, this.#targetGone.promise]);
  }

  /** The same, whatever becomes of the target. */
  get sourceEnded(): Promise<MigrationEnd> {
    return Promise.race([this.#ended.promise, this.#sourceGone.promise]);
  }

  /** The target's guest runs. */
  get resumed(): Promise<void> {
    return Promise.race([this.#resumed.promise, this.#targetGone.promise]);
  }

  /** Memory is being copied, or the migration is over already. */
  get active(): Promise<unknown> {
    return Promise.race([this.#active.promise, this.ended]);
  }

  /** All memory was sent once, or the migration is over already. */
  get swept(): Promise<unknown> {
    return Promise.race([this.#swept.promise, this.ended]);
  }

  /** The source's last word for where it is. */
  get status(): string {
    return this.#status;
  }

  get inPostcopy(): boolean {
    return this.#status.startsWith("postcopy");
  }

  /** What ended pre-copy of a move that was completed: our order, or QEMU's own limit. */
  get endOfPrecopy(): "post-copy" | "downtime-limit" {
    return this.#wasPostcopy ? "post-copy" : "downtime-limit";
  }

  /** One more point of the timeline. */
  take(info: MigrationInfo, atMs: number): void {
    const { ram, status } = info;
    if (ram !== undefined) this.ram = ram;
    this.timeline.push({
      atMs: Math.max(0, atMs - this.#orderedAtMs),
      wireBytes: 0,
      remainingBytes: ram?.remaining ?? null,
      dirtyPagesPerSec: ram?.["dirty-pages-rate"] ?? null,
      passes: ram?.["dirty-sync-count"] ?? null,
      phase: status ?? "none",
    });
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const off of this.#off) off();
  }

  #fromSource({ event, data, timestampMs, readAtMs }: QmpEvent): void {
    if (event === "STOP") this.stoppedAtMs = timestampMs;
    // The first begins with the migration, the second when all memory was sent once.
    if (event === "MIGRATION_PASS" && Number(data["pass"]) >= 2) this.#swept.resolve();
    if (event !== "MIGRATION") return;
    this.#status = String(data["status"]);
    this.#wasPostcopy ||= this.inPostcopy;
    if (this.#status === "active") this.#active.resolve();
    const end = ENDS.find((status) => status === this.#status);
    if (end === undefined) return;
    this.endReadAtMs ??= performance.timeOrigin + readAtMs;
    this.#ended.resolve(end);
  }

  #fromTarget({ event, timestampMs, readAtMs }: QmpEvent): void {
    if (event !== "RESUME") return;
    this.resumedAtMs ??= timestampMs;
    this.resumeReadAtMs ??= performance.timeOrigin + readAtMs;
    this.#resumed.resolve();
  }

  /** QEMU's monitor hangs while it writes its device state: one question at a time. */
  async #sample(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const info = await this.#source.execute("query-migrate", {}, { timeoutMs: SAMPLE_MS_MAX });
      if (!this.#closed && this.endReadAtMs === null) this.take(info, nowMs());
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error; // it hangs, or is gone: sourceEnded tells
    } finally {
      this.#asking = false;
    }
  }
}
