/** The target QEMU's part in the recovery of a post-copy. */
import { setTimeout as sleep } from "node:timers/promises";
import { isGodwitError } from "../../errors/mod.ts";
import type { MigrationStatus, Monitor } from "../../qemu/mod.ts";

/** QEMU pauses within milliseconds once its connection is closed; a busy host may need longer. */
const PAUSE_MS = 20_000;
const POLL_MS = 50;
const QMP_MS = 1_000;

/**
 * Makes a target QEMU, whose connection was closed, listen for a new one.
 *
 * By the second monitor where there is one: the main one may wait, with the guest, for a page that is missing.
 * @returns "completed" when QEMU had everything after all
 * @throws GodwitError QMP_ERROR with its last word, QMP_CLOSED
 */
export async function listenAgain(monitor: Monitor, path: string): Promise<"listens" | "completed"> {
  const until = performance.now() + PAUSE_MS;
  for (;;) {
    try {
      const order = { uri: `unix:${path}` };
      if (monitor.oob === null) await monitor.execute("migrate-recover", order);
      else await monitor.outOfBand("migrate-recover", order);
      return "listens";
    } catch (error) {
      if (!isGodwitError(error) || error.code !== "QMP_ERROR" || performance.now() >= until) throw error;
    }
    if ((await lookAtMigration(monitor)) === "completed") return "completed";
    await sleep(POLL_MS);
  }
}

/** QEMU's word on its migration; null: none, or it does not answer now (it may wait for a page), or not any more. */
export async function lookAtMigration(monitor: Monitor): Promise<MigrationStatus | null> {
  try {
    return (await monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS })).status ?? null;
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return null;
  }
}
