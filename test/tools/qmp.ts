import { setTimeout as sleep } from "node:timers/promises";
import { isGodwitError } from "../../src/errors/mod.ts";
import { connectQmp, type Qmp } from "../../src/qemu/mod.ts";

const WAIT_MS = 30_000;

/**
 * Connects to the monitor of a QEMU that was just started. Its socket file is there a moment before it listens.
 * @param ended  why it has ended; null while it runs
 */
export async function qmpWhenThere(path: string, ended: () => string | null): Promise<Qmp> {
  const deadlineMs = performance.now() + WAIT_MS;
  for (;;) {
    try {
      return await connectQmp(path);
    } catch (error) {
      if (!isGodwitError(error) || error.code !== "QMP_UNREACHABLE") throw error;
      const why = ended();
      if (why !== null) throw new Error(`QEMU ended before it listened: ${why}`, { cause: error });
      if (performance.now() > deadlineMs) throw error;
    }
    await sleep(20);
  }
}
