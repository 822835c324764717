import { GodwitError } from "../errors/mod.ts";
import { vmPaths } from "./args.ts";
import { checkMachine, readMachine } from "./inventory.ts";
import { describe, type RunningVm } from "./launch.ts";
import { openMonitor } from "./monitor.ts";
import { isAlive, listenerOf } from "./process.ts";
import { readRecord, writeRecord } from "./record.ts";
import { privateDir } from "./runDir.ts";
import { formatSize } from "./size.ts";
import { type BalloonFeatures, parseSpec, type VmSpec } from "./spec.ts";

export interface AdoptOptions {
  /** The VM's new folder at this agent; made. */
  readonly dir: string;
  readonly qmp: string;
  readonly oob?: string;
  /** Default: what QEMU's -name says. */
  readonly name?: string;
  /** What QMP cannot tell: kernel, disks. Must agree with what it can. */
  readonly spec?: Partial<VmSpec>;
}

/**
 * Takes over a running QEMU that we did not start. Its spec is made from what QMP tells (and `spec`), and is
 * compared with the machine's devices: a target launched from it must have the same.
 * Errors: QMP_UNREACHABLE, VM_NOT_MOVABLE naming what is in the way, SPEC_INVALID.
 */
export async function adoptVm(options: AdoptOptions): Promise<RunningVm> {
  const oob = options.oob ?? null;
  const monitor = await openMonitor(options.qmp, oob);
  try {
    const machine = await readMachine(monitor);
    const name = options.name ?? options.spec?.name ?? machine.name;
    if (name === null)
      throw new GodwitError("SPEC_INVALID", { problem: "name: this QEMU has none; give one" });
    const spec = {
      ...parseSpec({
        memory: formatSize(machine.memoryBytes),
        cpus: machine.cpus,
        machine: machine.type,
        cpu: machine.cpu,
        balloon: balloonSpec(machine.balloon),
        serial: machine.serial,
        ...options.spec,
        name,
        accel: machine.accel,
      }),
      accel: machine.accel,
      cpu: options.spec?.cpu ?? machine.cpu,
      uuid: machine.uuid,
    };
    checkMachine(machine, spec);
    privateDir(options.dir);
    const vm = { ...(await describe(spec, options.dir, monitor, listenerOf(options.qmp))), serialPath: null };
    const record = {
      version: 1,
      spec,
      process: vm.process,
      incoming: false,
      adopted: { qmp: options.qmp, oob },
    };
    writeRecord(options.dir, { ...record, version: 1 });
    return { ...vm, serialLogPath: null };
  } catch (error) {
    monitor.close();
    throw error;
  }
}

/** The short form where it says the same. */
function balloonSpec(features: BalloonFeatures | null): VmSpec["balloon"] {
  if (features === null) return false;
  return Object.values(features).some((on) => on) ? features : true;
}

/**
 * Finds the QEMU of a folder again, after the agent was started anew.
 * null: it has ended meanwhile, or the folder holds no VM.
 * Errors: those of `openMonitor` when it lives and does not answer.
 */
export async function reopenVm(dir: string): Promise<(RunningVm & { readonly incoming: boolean }) | null> {
  const record = readRecord(dir);
  if (record === null) return null;
  if (record.process !== null && !isAlive(record.process)) return null;
  const paths = vmPaths(dir);
  const { qmp, oob } = record.adopted ?? paths;
  try {
    const monitor = await openMonitor(qmp, oob);
    const vm = await describe(record.spec, dir, monitor, record.process);
    const serial = record.adopted === null ? {} : { serialPath: null, serialLogPath: null };
    return { ...vm, ...serial, incoming: record.incoming };
  } catch (error) {
    // Without a process to look at, a monitor that is not there is all that can be known.
    if (error instanceof GodwitError && error.code === "QMP_UNREACHABLE" && record.process === null)
      return null;
    throw error;
  }
}
