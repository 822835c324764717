import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError, isGodwitError } from "../../errors/mod.ts";
import type { MigrationStatus, Monitor } from "../../qemu/mod.ts";
import { type LocalListener, listenAsCompleter, type RamSection } from "../../relay/mod.ts";
import type { Vm } from "../context.ts";

/** QEMU gives a migration up within milliseconds once its socket is closed; a busy host may need longer. */
const RESUME_MS = 15_000;
const POLL_MS = 20;
/** So long a migration whose relay has gone may stay as it is before its socket is closed for it. */
const YANK_MS = 2_000;
const QMP_MS = 2_000;
const OVER: ReadonlySet<MigrationStatus> = new Set(["none", "cancelled", "failed", "completed"]);

/** QEMU refuses to cancel these (10.0), or hangs in it for ever (7.2). */
const POSTCOPY: ReadonlySet<MigrationStatus> = new Set([
  "postcopy-active",
  "postcopy-paused",
  "postcopy-recover-setup",
  "postcopy-recover",
]);

/**
 * Makes the source guest run again after its relay has gone: gives the migration up where QEMU has not done so itself,
 * continues the guest where it stands, and looks whether it runs.
 * Only for a guest that cannot run elsewhere. Errors: SOURCE_STUCK with QEMU's words.
 * @param section  the memory as the stream announced it; null: it did not come so far
 */
export async function resumeGuest(vm: Vm, section: RamSection | null): Promise<void> {
  const completer = new Completer(vm, section);
  try {
    await untilItRuns(vm, completer);
  } finally {
    await completer.close();
  }
}

async function untilItRuns({ name, monitor }: Vm, completer: Completer): Promise<void> {
  const until = performance.now() + RESUME_MS;
  let reason = "QEMU did not answer";
  const seen: MigrationStatus[] = [];
  let yankAt = 0;
  while (performance.now() < until && !monitor.main.isClosed) {
    try {
      const migration = await giveUp(monitor, completer);
      const now = performance.now();
      if (migration !== seen.at(-1)) {
        seen.push(migration);
        yankAt = now + YANK_MS;
      }
      if (OVER.has(migration)) {
        const { running, status } = await monitor.execute("query-status", {}, { timeoutMs: QMP_MS });
        if (running) return;
        reason = `its state is ${status}`;
        await monitor.execute("cont", {}, { timeoutMs: QMP_MS });
        continue; // look again: only a guest that runs is resumed
      }
      reason = `its migration does not end: ${seen.join(", ")}`;
      if (now > yankAt) {
        yankAt += YANK_MS;
        await monitor.yankMigration().catch(ignoreRefusal);
      }
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      reason = seen.length > 0 ? `${error.message} (its migration: ${seen.join(", ")})` : error.message;
      // Its main loop hangs in a write to a socket that nobody reads.
      if (error.code === "QMP_TIMEOUT") await monitor.yankMigration().catch(ignoreRefusal);
    }
    await sleep(POLL_MS);
  }
  throw new GodwitError("SOURCE_STUCK", { vm: name, reason });
}

/** What QEMU calls its migration; orders its end where it is under way. */
async function giveUp(monitor: Monitor, completer: Completer): Promise<MigrationStatus> {
  const { status = "none" } = await monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS });
  if (status === "postcopy-paused") await completer.complete();
  else if (!OVER.has(status) && !POSTCOPY.has(status) && status !== "cancelling")
    await monitor.execute("migrate_cancel", {}, { timeoutMs: QMP_MS });
  return status;
}

/** Takes a post-copy that was interrupted to its end. Each attempt is an order of its own. */
class Completer {
  readonly #vm: Vm;
  readonly #section: RamSection | null;
  #listener: LocalListener | null = null;

  constructor(vm: Vm, section: RamSection | null) {
    this.#vm = vm;
    this.#section = section;
  }

  async complete(): Promise<void> {
    if (this.#section === null) return;
    const path = join(this.#vm.dir, "complete.sock");
    this.#listener ??= await listenAsCompleter(path, this.#section);
    const order = { uri: `unix:${path}`, resume: true };
    await this.#vm.monitor.execute("migrate", order, { timeoutMs: QMP_MS });
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }
}

/** No second monitor, or no migration any more: the next look tells. */
function ignoreRefusal(error: unknown): void {
  if (!isGodwitError(error)) throw error;
}
