/** What could refuse a move, asked before anything is started. Each refusal names the difference. */
import { realpathSync } from "node:fs";
import { sep } from "node:path";
import { GodwitError } from "../../errors/mod.ts";
import type { Strategy } from "../../migration/mod.ts";
import {
  DEFAULT_QEMU,
  kvmVerdict,
  losesWrites,
  memoryBytesOf,
  postcopyObstacle,
  probeQemu,
  type QemuCommand,
  type ResolvedSpec,
} from "../../qemu/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import type { PrepareOrder } from "./peerSchemas.ts";

/** QEMU's own memory beside the guest's, and the relay's. */
const OVERHEAD_BYTES = 160 * 2 ** 20;
const QEMU_VERSION = /^\d+\.\d+\.\d+/;
/** QEMUs that were found able to receive post-copy. That of each move is asked the same again when it is set up. */
const postcopyAble = new Set<string>();

/** Whether this VM can leave in this way. Errors: VM_NOT_MOVABLE with QEMU's reason or ours, QMP_CLOSED. */
export async function precheckSource(vm: Vm, strategy: Strategy): Promise<void> {
  const refuse = (reason: string) => new GodwitError("VM_NOT_MOVABLE", { vm: vm.name, reason });
  if (vm.incoming) throw refuse("it is arriving here itself");
  const { status } = await vm.monitor.execute("query-status");
  if (status !== "running") throw refuse(`its state is ${status}, and only a running guest is moved`);
  const { "blocked-reasons": blocked } = await vm.monitor.execute("query-migrate");
  if (blocked !== undefined && blocked.length > 0) throw refuse(blocked.join("; "));
  // With the guest stopped first there is one pass, and nothing to lose.
  const memoryBytes = memoryBytesOf(vm.spec);
  const { accel } = vm.spec;
  if (strategy !== "stop-and-copy" && losesWrites({ accel, qemuVersion: vm.qemuVersion, memoryBytes })) {
    throw refuse(
      `QEMU ${vm.qemuVersion} under TCG loses writes of a running guest whose RAM is a multiple of 256KiB; stop-and-copy moves it rightly`,
    );
  }
}

/**
 * Whether this host can take the VM.
 * Errors: VM_EXISTS, PATH_UNSAFE, TARGET_DIFFERS naming what and both values, TARGET_NO_ROOM, POSTCOPY_UNAVAILABLE, QEMU_MISSING.
 */
export async function precheckTarget(context: AgentContext, order: PrepareOrder): Promise<void> {
  const { spec } = order;
  if (context.vms.find(spec.name) !== null) throw new GodwitError("VM_EXISTS", { vm: spec.name });
  for (const path of filesOf(spec)) checkFile(path, context.vmFiles);
  const qemu = context.qemu ?? DEFAULT_QEMU;
  if (!QEMU_VERSION.test(order.qemuVersion)) {
    throw differs("QEMU's version", order.qemuVersion, "only numbered versions are known");
  }
  if (spec.accel === "kvm") {
    const verdict = await kvmVerdict(qemu);
    if (!verdict.usable) throw differs("the accelerator", "kvm", verdict.reason);
  }
  await machineAndCpu(qemu, spec);
  const needBytes = memoryBytesOf(spec) + OVERHEAD_BYTES;
  const freeBytes = process.availableMemory();
  if (freeBytes < needBytes)
    throw new GodwitError("TARGET_NO_ROOM", { host: context.host, needBytes, freeBytes });
  if (order.postcopy) await mayReceivePostcopy(context.host, qemu);
}

/** Asking starts a QEMU, a fifth of a second: a yes is remembered. */
async function mayReceivePostcopy(host: string, qemu: QemuCommand): Promise<void> {
  const key = JSON.stringify([qemu.binary, qemu.args]);
  if (postcopyAble.has(key)) return;
  const obstacle = await postcopyObstacle(qemu);
  if (obstacle !== null) throw new GodwitError("POSTCOPY_UNAVAILABLE", { host, reason: obstacle });
  postcopyAble.add(key);
}

async function machineAndCpu(qemu: QemuCommand, spec: ResolvedSpec): Promise<void> {
  const known = await probeQemu(qemu, spec.accel);
  const machine = known.machines.find(({ name }) => name === spec.machine);
  if (machine === undefined)
    throw differs("the machine type", spec.machine, `unknown to QEMU ${known.version}`);
  if (machine["cpu-max"] < spec.cpus) {
    throw differs("the number of CPUs", String(spec.cpus), `at most ${machine["cpu-max"]}`);
  }
  const model = spec.cpu.split(",", 1)[0]!;
  const cpu = known.cpus.find(({ name }) => name === model);
  if (cpu === undefined) throw differs("the CPU model", model, `unknown to QEMU ${known.version}`);
  const lacking = cpu["unavailable-features"] ?? [];
  // TCG leaves out the same features on both hosts.
  if (spec.accel === "kvm" && lacking.length > 0)
    throw differs("the CPU model", model, `lacks ${lacking.join(", ")}`);
}

function filesOf(spec: ResolvedSpec): string[] {
  return [spec.kernel, spec.initrd, ...spec.disks.map(({ path }) => path)].filter(
    (path) => path !== undefined,
  );
}

/** The source names files of this host: QEMU would open them as whoever the agent is. Links do not lead out of the folders. */
function checkFile(path: string, folders: readonly string[] | null): void {
  const below = (real: string) =>
    folders === null || folders.some((folder) => real.startsWith(within(folder)));
  const unsafe = () =>
    new GodwitError("PATH_UNSAFE", { path, reason: "files of arriving VMs are taken from --vm-files only" });
  const real = realOf(path);
  if (real === null && !below(path)) throw unsafe(); // nobody learns what else is there
  if (real === null) throw differs(`the file ${path}`, "there", "missing");
  if (!below(real)) throw unsafe();
}

function within(folder: string): string {
  const real = realOf(folder) ?? folder;
  return real.endsWith(sep) ? real : `${real}${sep}`;
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

function differs(what: string, source: string, target: string): GodwitError {
  return new GodwitError("TARGET_DIFFERS", { what, source, target });
}
