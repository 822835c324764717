/** In the place of src/agent/migrate/recoverySource.ts: where a guest's memory is needs no looking for here. */
import type { Vm } from "../../src/agent/context.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import type { MemoryMap, RamSection } from "../../src/relay/mod.ts";

export { together } from "../../src/agent/migrate/recoverySource.ts";

export async function memoryOf(vm: Vm, section: RamSection | null): Promise<MemoryMap> {
  if (section === null) throw new GodwitError("POSTCOPY_LOST", {});
  // Its monitor has to answer, as it has to for the real one.
  await vm.monitor.execute("query-status");
  return { pid: vm.pid ?? 0, startTicks: 0, blocks: [] };
}
