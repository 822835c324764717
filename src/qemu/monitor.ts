import { GodwitError } from "../errors/mod.ts";
import type { CommandAnswer, CommandName, QmpEvent } from "./commands.ts";
import { connectQmp, type Qmp } from "./qmp.ts";

/**
 * Both monitors of one QEMU: `main` for everything, `oob` for the moment when QEMU's main loop hangs
 * (it does while the source writes its device state into a socket that nobody reads).
 */
export class Monitor {
  readonly main: Qmp;
  /** null where QEMU was adopted and offers one monitor only. */
  readonly oob: Qmp | null;

  constructor(main: Qmp, oob: Qmp | null) {
    this.main = main;
    this.oob = oob;
  }

  /** Same as `main.execute`. */
  get execute(): Qmp["execute"] {
    return this.main.execute.bind(this.main) as Qmp["execute"];
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    return this.main.onEvent(listener);
  }

  waitFor(name: string, when: (event: QmpEvent) => boolean, timeoutMs: number): Promise<QmpEvent> {
    return this.main.waitFor(name, when, timeoutMs);
  }

  /** Resolves with the reason when the main monitor closes, which is how QEMU's death shows. */
  get closed(): Promise<GodwitError> {
    return this.main.closed;
  }

  /**
   * Cuts QEMU's migration connection, even while its main loop hangs: the migration fails and a source
   * guest that was stopped for the switchover runs again (seen on 7.2 and 10.0).
   * Errors: QMP_ERROR when there is no migration or no second monitor.
   */
  async yankMigration(): Promise<void> {
    await this.outOfBand("yank", { instances: [{ type: "migration" }] });
  }

  /** Runs one of the few commands that QEMU takes out of band: yank, migrate-pause, migrate-recover. */
  async outOfBand<C extends "yank" | "migrate-pause" | "migrate-recover">(
    command: C,
    args: Parameters<Qmp["execute"]>[1],
  ): Promise<CommandAnswer<C>> {
    if (this.oob === null)
      throw new GodwitError("QMP_ERROR", {
        command,
        class: "NoOob",
        desc: "this VM has no second monitor for out-of-band commands",
      });
    const execute = this.oob.execute.bind(this.oob) as (
      c: CommandName,
      a: unknown,
      o: object,
    ) => Promise<unknown>;
    return (await execute(command, args, { oob: true })) as CommandAnswer<C>;
  }

  /** Lets go of QEMU, which goes on. */
  close(): void {
    this.main.close();
    this.oob?.close();
  }
}

/** Opens both monitors; `oobPath` null for one only. Errors: those of `connectQmp`. */
export async function openMonitor(
  mainPath: string,
  oobPath: string | null,
  timeoutMs?: number,
): Promise<Monitor> {
  const limit = timeoutMs === undefined ? {} : { timeoutMs };
  const main = await connectQmp(mainPath, limit);
  if (oobPath === null) return new Monitor(main, null);
  try {
    return new Monitor(main, await connectQmp(oobPath, { oob: true, ...limit }));
  } catch (error) {
    main.close();
    throw error;
  }
}
