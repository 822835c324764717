import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError, isGodwitError } from "../../errors/mod.ts";
import type { MigrationStatus, Monitor } from "../../qemu/mod.ts";

/** QEMU gives a migration up within milliseconds once its socket is closed; a busy host may need longer. */
const RESUME_MS = 15_000;
const POLL_MS = 20;
const QMP_MS = 2_000;
const OVER: ReadonlySet<MigrationStatus> = new Set(["none", "cancelled", "failed", "completed"]);

/**
 * Makes the source guest run again after its relay has gone: gives the migration up where QEMU has not done so itself,
 * continues the guest where it stands, and looks whether it runs.
 * Only for a guest that cannot run elsewhere. Errors: SOURCE_STUCK with QEMU's words.
 */
export async function resumeGuest(vm: string, monitor: Monitor): Promise<void> {
  const until = performance.now() + RESUME_MS;
  let reason = "QEMU did not answer";
  while (performance.now() < until && !monitor.main.isClosed) {
    try {
      if (await giveUp(monitor)) {
        const { running, status } = await monitor.execute("query-status", {}, { timeoutMs: QMP_MS });
        if (running) return;
        reason = `its state is ${status}`;
        await monitor.execute("cont", {}, { timeoutMs: QMP_MS });
        continue; // look again: only a guest that runs is resumed
      }
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      reason = error.message;
      // Its main loop hangs in a write to a socket that nobody reads.
      if (error.code === "QMP_TIMEOUT") await monitor.yankMigration().catch(ignoreRefusal);
    }
    await sleep(POLL_MS);
  }
  throw new GodwitError("SOURCE_STUCK", { vm, reason });
}

/** Whether no migration is under way any more; orders its end where one is. */
async function giveUp(monitor: Monitor): Promise<boolean> {
  const { status = "none" } = await monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS });
  if (OVER.has(status)) return true;
  if (status !== "cancelling") await monitor.execute("migrate_cancel", {}, { timeoutMs: QMP_MS });
  return false;
}

/** No second monitor, or no migration any more: the next look tells. */
function ignoreRefusal(error: unknown): void {
  if (!isGodwitError(error)) throw error;
}
