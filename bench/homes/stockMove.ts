import { setTimeout as sleep } from "node:timers/promises";
import type { RigVm } from "../../lab/rig/mod.ts";
import type { Cell } from "../../src/bench/mod.ts";
import { GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import type { MigrationParameters } from "../../src/qemu/mod.ts";
import { nowMs } from "../clock.ts";
import type { StockSystem } from "../systems/mod.ts";
import type { MoveFacts } from "../types.ts";
import type { GuestConsole } from "./console.ts";
import { type CpuMs, minus, NO_CPU, qemuCpu } from "./cpu.ts";
import { configure, freshParameters } from "./stockSettings.ts";
import { type MigrationEnd, StockWatch } from "./stockWatch.ts";

/** Heartbeats are listened to for so long after the end: a stall right after the switchover is seen, too. */
export const LISTEN_MS = 1_500;
const CANCEL_MS = 10_000;
const RESUME_MS = 20_000;

/** A QEMU of a stock home, and what its parameters were when it was new. */
export interface StockVm {
  readonly rig: RigVm;
  readonly fresh: MigrationParameters;
}

export interface StockMoveOptions {
  readonly system: StockSystem;
  readonly cell: Cell;
  readonly source: StockVm;
  readonly console: GuestConsole;
  /** Starts the QEMU that waits for the guest. */
  readonly startTarget: () => Promise<RigVm>;
  /** The guest runs here from now on. */
  readonly runsAt: (target: StockVm) => void;
  /** Where the source migrates to, and where the target listens. */
  readonly to: string;
  readonly at: string;
  readonly timeLimitMs: number;
}

export interface StockMoved {
  readonly facts: MoveFacts;
  /** Who has the guest now; null: nobody can say, or nobody. */
  readonly owner: StockVm | null;
}

/** One guest's move by stock QEMU, from the start of the target's QEMU to the end of the one that is not needed any more. */
export async function moveStock(options: StockMoveOptions): Promise<StockMoved> {
  const move = new StockMove(options);
  return move.run();
}

class StockMove {
  readonly #o: StockMoveOptions;
  readonly #orderedAtMs = nowMs();
  readonly #before: CpuMs;
  #migrateAtMs: number | null = null;
  #target: StockVm | null = null;
  #watch: StockWatch | null = null;

  constructor(options: StockMoveOptions) {
    this.#o = options;
    this.#before = cpuOf(options.source.rig);
  }

  async run(): Promise<StockMoved> {
    let problem: GodwitError | null = null;
    try {
      problem = await this.#migrate();
    } catch (error) {
      if (!isGodwitError(error)) {
        await this.#target?.rig.stop();
        throw error;
      }
      problem = error;
    }
    const owner = await this.#settle(problem);
    const endedAtMs = this.#endedAtMs(owner);
    const moved = owner !== null && owner === this.#target;
    const cpu = this.#cpu();
    await this.#finalFigures(endedAtMs);
    this.#watch?.close();
    if (owner !== null) await sleep(Math.max(0, endedAtMs + LISTEN_MS - nowMs()));
    const facts = this.#facts(endedAtMs, moved ? null : (problem?.message ?? "the guest is lost"), cpu);
    const leftOver = [this.#o.source, this.#target].filter((vm) => vm !== null && vm !== owner);
    if (owner !== null) await Promise.all(leftOver.map((vm) => vm?.rig.stop()));
    else await Promise.all([this.#o.source.rig.stop(), this.#target?.rig.stop()]);
    return { facts, owner };
  }

  /** @returns why it did not end well; null when the target runs the guest */
  async #migrate(): Promise<GodwitError | null> {
    const { system, cell, source, timeLimitMs } = this.#o;
    const from = source.rig.vm.monitor;
    const rig = await this.#o.startTarget();
    const into = rig.vm.monitor;
    // Held at once: whatever fails from here on, this QEMU is ours to end.
    this.#target = { rig, fresh: {} };
    this.#target = { rig, fresh: await freshParameters(into) };
    const watch = new StockWatch(from, into, this.#orderedAtMs);
    this.#watch = watch;
    await configure(into, "target", system.recipe, cell, this.#target.fresh);
    await configure(from, "source", system.recipe, cell, source.fresh);
    await into.execute("migrate-incoming", { uri: this.#o.at });
    // It was started with -S: before the stream ends this only means "run when loaded".
    await into.execute("cont");
    this.#migrateAtMs = nowMs();
    await from.execute("migrate", { uri: this.#o.to });
    watch.begin();
    void watch.resumed.then(
      () => this.#target && this.#o.runsAt(this.#target),
      () => undefined, // told by `ended`
    );
    void this.#startPostcopy(watch);
    const leftMs = this.#orderedAtMs + timeLimitMs - nowMs();
    let end = await within(watch.ended, leftMs);
    // Pages are on both sides: it cannot be undone any more, only waited for.
    if (end === null && watch.inPostcopy) end = await within(watch.ended, timeLimitMs);
    if (end === "completed") {
      if (
        (await within(
          watch.resumed.then(() => true),
          RESUME_MS,
        )) !== null
      )
        return null;
      return new GodwitError("TARGET_QEMU_GONE", { phase: "completed, but the target does not run" });
    }
    if (end === null) return new GodwitError("BENCH_TIME_OVER", { timeLimitMs, phase: watch.status });
    return failed(end, (await from.execute("query-migrate"))["error-desc"]);
  }

  async #startPostcopy(watch: StockWatch): Promise<void> {
    const { recipe } = this.#o.system;
    if (recipe.postcopy === "never") return;
    try {
      await (recipe.postcopy === "atOnce" ? watch.active : watch.swept);
      if (watch.endReadAtMs === null) await this.#o.source.rig.vm.monitor.execute("migrate-start-postcopy");
    } catch (error) {
      // It has just ended, or a QEMU is gone: the watch tells the same.
      if (!isGodwitError(error)) throw error;
    }
  }

  /** After a failure: the guest runs at the source again, and nowhere else. @returns who has the guest */
  async #settle(problem: GodwitError | null): Promise<StockVm | null> {
    const { source } = this.#o;
    if (problem === null) return this.#target;
    const watch = this.#watch;
    try {
      if (watch !== null && this.#migrateAtMs !== null && watch.endReadAtMs === null) {
        if (watch.inPostcopy) return null;
        await source.rig.vm.monitor.execute("migrate_cancel");
        const end = await within(watch.sourceEnded, CANCEL_MS);
        if (end === null) return null;
        if (end === "completed") {
          const runs = await within(
            watch.resumed.then(() => true),
            RESUME_MS,
          );
          return runs ? this.#target : null;
        }
      }
      if (watch?.inPostcopy || watch?.status === "completed") return null;
      return (await this.#sourceRuns()) ? source : null;
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      return null;
    }
  }

  async #sourceRuns(): Promise<boolean> {
    const { monitor } = this.#o.source.rig.vm;
    // QEMU starts its guest again by itself after a failed switchover; a moment later at most.
    for (let attempt = 0; attempt < 50; attempt++) {
      if ((await monitor.execute("query-status")).running) return true;
      await sleep(20);
    }
    await monitor.execute("cont");
    return (await monitor.execute("query-status")).running;
  }

  #endedAtMs(owner: StockVm | null): number {
    const { endReadAtMs, resumeReadAtMs } = this.#watch ?? { endReadAtMs: null, resumeReadAtMs: null };
    if (owner === null || owner !== this.#target || endReadAtMs === null || resumeReadAtMs === null)
      return nowMs();
    return Math.max(endReadAtMs, resumeReadAtMs);
  }

  #cpu(): { source: CpuMs; target: CpuMs } {
    return {
      source: minus(cpuOf(this.#o.source.rig), this.#before),
      target: this.#target === null ? NO_CPU : cpuOf(this.#target.rig),
    };
  }

  async #finalFigures(endedAtMs: number): Promise<void> {
    const { monitor } = this.#o.source.rig.vm;
    if (this.#watch === null || this.#migrateAtMs === null || monitor.main.isClosed) return;
    try {
      this.#watch.take(await monitor.execute("query-migrate"), endedAtMs);
    } catch (error) {
      if (!isGodwitError(error)) throw error; // the last sample has to do
    }
  }

  #gapAfterResumeMs(endedAtMs: number): number | null {
    const fromMs = this.#watch?.resumeReadAtMs ?? null;
    return fromMs === null ? null : this.#o.console.silenceMs(fromMs, endedAtMs + LISTEN_MS);
  }

  #facts(endedAtMs: number, error: string | null, cpu: { source: CpuMs; target: CpuMs }): MoveFacts {
    const watch = this.#watch;
    const ram = this.#migrateAtMs === null ? undefined : watch?.ram;
    const stoppedAtMs = watch?.stoppedAtMs ?? null;
    const resumedAtMs = watch?.resumedAtMs ?? null;
    const downtimeMs = stoppedAtMs === null || resumedAtMs === null ? null : resumedAtMs - stoppedAtMs;
    return {
      orderedAtMs: this.#orderedAtMs,
      migrateAtMs: this.#migrateAtMs,
      endedAtMs,
      downtimeMs: error === null && downtimeMs !== null ? Math.max(0, downtimeMs) : null,
      blackoutMs: this.#o.console.longestGapMs(this.#orderedAtMs, endedAtMs + LISTEN_MS),
      gapAfterResumeMs: error === null ? this.#gapAfterResumeMs(endedAtMs) : null,
      passes: ram?.["dirty-sync-count"] ?? null,
      streamBytes: ram?.transferred ?? null,
      pages: ram === undefined ? null : { sent: ram.normal + ram.duplicate, zero: ram.duplicate },
      cpuMs: { source: cpu.source.hostMs, target: cpu.target.hostMs },
      guestCpuMs: cpu.source.vcpuMs + cpu.target.vcpuMs,
      extraRssBytes: { source: 0, target: 0 },
      equal: null,
      switchover: error === null && watch !== null ? { rule: watch.endOfPrecopy, decisions: [] } : null,
      requests: ram?.["postcopy-requests"] ?? null,
      timeline: watch?.timeline ?? [],
      error,
    };
  }
}

function failed(status: MigrationEnd, reason = "QEMU gives no reason"): GodwitError {
  return new GodwitError("QEMU_MIGRATION_FAILED", { status, reason });
}

function cpuOf({ vm }: RigVm): CpuMs {
  return (vm.process !== null && qemuCpu(vm.process.pid)) || NO_CPU;
}

/** What a promise gives, or null when the time is over before. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  const stop = new AbortController();
  const late = sleep(Math.max(0, ms), null, { signal: stop.signal }).catch(() => null);
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}
