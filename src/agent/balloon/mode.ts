/** Whether a VM's balloon follows its need by itself: kept in the VM's folder, so that it goes when the VM goes. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Vm } from "../context.ts";

export type BalloonMode = "auto" | "off";

/** Of a VM that this agent, or the one before it, was told. */
export function balloonMode(vm: Pick<Vm, "dir">): BalloonMode {
  return existsSync(mark(vm)) ? "auto" : "off";
}

/** On the disk when it returns. */
export function setBalloonMode(vm: Pick<Vm, "dir">, mode: BalloonMode): void {
  if (mode === "auto") writeFileSync(mark(vm), "", { mode: 0o600, flush: true });
  else rmSync(mark(vm), { force: true });
}

function mark(vm: Pick<Vm, "dir">): string {
  return join(vm.dir, "balloon-auto");
}
