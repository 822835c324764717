import { GodwitError } from "../../errors/mod.ts";
import { Balloon } from "../../qemu/mod.ts";
import type { Vm } from "../context.ts";

/** The VM's balloon. Errors: BALLOON_MISSING; those of QMP. */
export async function balloonDevice(vm: Pick<Vm, "name" | "monitor">): Promise<Balloon> {
  const found = await Balloon.find(vm.monitor);
  if (found === null) throw new GodwitError("BALLOON_MISSING", { vm: vm.name });
  return found;
}

/** Gives a guest back what a move took from it. QEMU takes the order at once, the guest follows. Errors: as above. */
export async function giveBack(vm: Pick<Vm, "name" | "monitor">, sizeBytes: number): Promise<void> {
  await (await balloonDevice(vm)).resize(sizeBytes);
}
