import { isGodwitError } from "../errors/mod.ts";
import type { VmBody } from "./api.ts";
import type { Clock, Vm } from "./context.ts";

/** A monitor hangs while QEMU writes its device state; a list must not hang with it. */
const STATUS_MS = 2_000;

/** A VM as the API shows it. */
export async function describeVm(
  vm: Vm & { readonly claimedBy: string | null },
  clock: Clock,
): Promise<VmBody> {
  const { serial } = vm;
  const last = serial?.lastBeat ?? null;
  return {
    name: vm.name,
    status: await runState(vm),
    incoming: vm.incoming,
    busyWith: vm.claimedBy,
    pid: vm.pid,
    qemuVersion: vm.qemuVersion,
    spec: vm.spec,
    dir: vm.dir,
    heartbeat: serial && {
      beats: serial.beats,
      lastSeq: last?.seq ?? null,
      lastAgoMs: last === null ? null : clock.monoMs() - last.monoMs,
    },
    oracle: serial && {
      verified: serial.oracle.verified,
      lastVerified: serial.oracle.lastVerified,
      corrupt: serial.oracle.corrupt,
      lastCorrupt: serial.oracle.lastCorrupt,
    },
  };
}

async function runState(vm: Vm): Promise<string> {
  try {
    return (await vm.monitor.execute("query-status", {}, { timeoutMs: STATUS_MS })).status;
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return error.code === "QMP_TIMEOUT" ? "unresponsive" : "gone";
  }
}
