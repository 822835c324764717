/** In the place of src/agent/migrate/precheck.ts: what asks this machine's QEMU is left out, what asks the VM is real. */
import type { AgentContext } from "../../src/agent/context.ts";
import type { PrepareOrder } from "../../src/agent/migrate/peerSchemas.ts";
import { GodwitError } from "../../src/errors/mod.ts";

export { precheckSource } from "../../src/agent/migrate/precheck.ts";

export async function precheckTarget(context: AgentContext, order: PrepareOrder): Promise<void> {
  if (context.vms.find(order.spec.name) !== null) throw new GodwitError("VM_EXISTS", { vm: order.spec.name });
}
