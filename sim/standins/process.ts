/** In the place of src/qemu/process.ts: processes of the world. */
import type { ProcessId } from "../../src/qemu/mod.ts";
import { here } from "../engine/active.ts";

export { listenerOf } from "../../src/qemu/process.ts";

const LOOK_MS = 20;

/** A number is never given twice in a world. */
export function processId(pid: number): ProcessId | null {
  return here().processes.isAlive(pid) ? { pid, startTicks: 0 } : null;
}

export function isAlive({ pid }: ProcessId): boolean {
  return here().processes.isAlive(pid);
}

export function signal({ pid }: ProcessId, name: string): boolean {
  here().processes.signal(pid, name);
  return true;
}

export async function waitForExit(id: ProcessId, timeoutMs: number): Promise<boolean> {
  for (let waitedMs = 0; isAlive(id); waitedMs += LOOK_MS) {
    if (waitedMs >= timeoutMs) return false;
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_MS);
    });
  }
  return true;
}
