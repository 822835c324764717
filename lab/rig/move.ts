import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationInfo } from "../../src/qemu/mod.ts";
import type { RigVm } from "./guest.ts";
import { until } from "./guest.ts";

export interface MoveOptions {
  /** Where the source migrates to, and where the target listens: unix: or tcp: addresses. */
  readonly to: string;
  readonly at: string;
  readonly postcopy?: boolean;
  /** Post-copy begins when so many passes have ended. Default 0: at once. */
  readonly afterPasses?: number;
  readonly returnPath?: boolean;
  readonly downtimeLimitMs?: number;
  readonly bytesPerSec?: number;
  readonly timeoutMs?: number;
  /** Called when the migration is under way. */
  readonly during?: () => Promise<void> | void;
}

export interface Moved {
  readonly totalTimeMs: number;
  /** The source QEMU's STOP to the target's RESUME; one machine, one clock. */
  readonly downtimeMs: number;
  readonly info: MigrationInfo;
}

/**
 * Moves the guest as an orchestrator does over QMP, in pre-copy or post-copy, whatever lies between `to` and `at`.
 * @throws when the source says that the migration failed
 */
export async function move(source: RigVm, target: RigVm, options: MoveOptions): Promise<Moved> {
  const { monitor: from } = source.vm;
  const { monitor: into } = target.vm;
  const postcopy = { capability: "postcopy-ram", state: options.postcopy ?? false };
  await from.execute("migrate-set-capabilities", {
    capabilities: [
      { capability: "events", state: true },
      { capability: "return-path", state: options.returnPath ?? true },
      postcopy,
    ],
  });
  await from.execute("migrate-set-parameters", {
    "max-bandwidth": options.bytesPerSec ?? 0,
    "downtime-limit": options.downtimeLimitMs ?? 300,
  });
  await into.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "events", state: true }, postcopy],
  });
  await into.execute("migrate-incoming", { uri: options.at });
  let stoppedMs = 0;
  let resumedMs = 0;
  const offStop = from.onEvent((e) => {
    if (e.event === "STOP") stoppedMs = e.timestampMs;
  });
  const offResume = into.onEvent((e) => {
    if (e.event === "RESUME") resumedMs = e.timestampMs;
  });
  // The target was started with -S: `cont` before the stream ends only means "run when loaded".
  await into.execute("cont");
  const startedMs = performance.now();
  try {
    await from.execute("migrate", { uri: options.to });
    if (options.postcopy) {
      await until(async () => (await status(source)) !== "setup", 10_000, "the migration to begin");
      const passes = options.afterPasses ?? 0;
      const passed = async () =>
        ((await from.execute("query-migrate")).ram?.["dirty-sync-count"] ?? 0) > passes;
      if (passes > 0) await until(passed, 60_000, `${passes} passes`);
      await from.execute("migrate-start-postcopy");
    }
    await options.during?.();
    const info = await ended(source, options.timeoutMs ?? 120_000);
    const totalTimeMs = performance.now() - startedMs;
    if (info.status !== "completed")
      throw new Error(`the migration ended as ${info.status}: ${info["error-desc"]}`);
    await until(() => resumedMs > 0, 10_000, "the target to run");
    return { totalTimeMs, downtimeMs: resumedMs - stoppedMs, info };
  } finally {
    offStop();
    offResume();
  }
}

/** What query-migrate says at the source. */
export async function status(source: RigVm): Promise<string> {
  return (await source.vm.monitor.execute("query-migrate")).status ?? "none";
}

/** Waits for the end of a migration at the source, whatever it is. */
export async function ended(source: RigVm, timeoutMs: number): Promise<MigrationInfo> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const info = await source.vm.monitor.execute("query-migrate");
    if (["completed", "failed", "cancelled", "postcopy-paused"].includes(info.status ?? "")) return info;
    if (performance.now() > deadline)
      throw new Error(`the migration is still ${info.status} after ${timeoutMs} ms`);
    await sleep(5);
  }
}
