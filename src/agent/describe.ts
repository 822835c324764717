import { isGodwitError } from "../errors/mod.ts";
import type { VmBody } from "./api.ts";
import type { Clock, Vm } from "./context.ts";

/** A monitor hangs while QEMU writes its device state; a list must not hang with it. */
const STATUS_MS = 2_000;

const INTERRUPTED = "postcopy-paused";

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

async function runState({ monitor }: Vm): Promise<string> {
  try {
    const { status } = await monitor.execute("query-status", {}, { timeoutMs: STATUS_MS });
    // To QEMU a guest runs, too, that waits for pages which nobody brings.
    if (status !== "running") return status;
    const { status: migration } = await monitor.execute("query-migrate", {}, { timeoutMs: STATUS_MS });
    return migration === INTERRUPTED ? INTERRUPTED : status;
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return error.code === "QMP_TIMEOUT" ? "unresponsive" : "gone";
  }
}
