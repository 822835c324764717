import { GodwitError } from "../errors/mod.ts";
import { BALLOON_TYPE, featuresText, readBalloonFeatures } from "./balloonDevice.ts";
import type { Monitor } from "./monitor.ts";
import { type BalloonFeatures, balloonOf, type ResolvedSpec } from "./spec.ts";

/** What a running QEMU tells of its machine. */
export interface MachineInventory {
  readonly name: string | null;
  readonly uuid: string;
  /** Versioned: "pc-q35-7.2". */
  readonly type: string;
  readonly cpus: number;
  readonly cpu: string;
  readonly accel: "kvm" | "tcg";
  readonly memoryBytes: number;
  readonly pluggedBytes: number;
  readonly serial: boolean;
  /** Types of the devices that were asked for (`-device`), in order of their PCI slots. */
  readonly devices: readonly string[];
  /** null: there is no balloon. */
  readonly balloon: BalloonFeatures | null;
  /** Types that come with `-nodefaults` missing, which our launch never has. */
  readonly defaults: readonly string[];
}

/** Devices that a QEMU adds by itself without -nodefaults, and that are in the migration stream. */
const DEFAULT_DEVICES =
  /^(VGA|e1000e?|isa-parallel|isa-fdc|floppy|ide-cd|ide-hd|vmware-svga|cirrus-vga|qxl-vga)$/;
const MOVABLE = [BALLOON_TYPE, "virtio-net-pci", "virtio-blk-pci"];

/** Errors: those of QMP. */
export async function readMachine(monitor: Monitor): Promise<MachineInventory> {
  const unattached = await typesAt(monitor, "/machine/unattached");
  const machineType = String(await monitor.execute("qom-get", { path: "/machine", property: "type" }));
  const cpus = await monitor.execute("query-cpus-fast");
  const cpuType = unattached.find((type) => type.endsWith("-x86_64-cpu")) ?? "";
  const memory = await monitor.execute("query-memory-size-summary");
  const kvm = await monitor.execute("query-kvm");
  return {
    name: (await monitor.execute("query-name")).name ?? null,
    uuid: (await monitor.execute("query-uuid")).UUID,
    type: machineType.replace(/-machine$/, ""),
    cpus: cpus.length,
    cpu: cpuType.replace(/-x86_64-cpu$/, ""),
    accel: kvm.enabled ? "kvm" : "tcg",
    memoryBytes: memory["base-memory"],
    pluggedBytes: memory["plugged-memory"] ?? 0,
    serial: unattached.includes("isa-serial"),
    devices: [
      ...(await typesAt(monitor, "/machine/peripheral")),
      ...(await typesAt(monitor, "/machine/peripheral-anon")),
    ],
    balloon: await readBalloonFeatures(monitor),
    defaults: unattached.filter((type) => DEFAULT_DEVICES.test(type)),
  };
}

/** Refuses what a target launched from this spec would not have. Errors: VM_NOT_MOVABLE. */
export function checkMachine(machine: MachineInventory, spec: ResolvedSpec): void {
  const refuse = (reason: string) => new GodwitError("VM_NOT_MOVABLE", { vm: spec.name, reason });
  if (machine.defaults.length > 0)
    throw refuse(`it was started without -nodefaults and has ${machine.defaults.join(", ")}`);
  if (machine.pluggedBytes > 0) throw refuse("it has hot-plugged memory");
  const foreign = machine.devices.filter((type) => !MOVABLE.includes(type) && type !== "isa-serial");
  if (foreign.length > 0) throw refuse(`its devices ${foreign.join(", ")} are not supported`);
  const count = (type: string) => machine.devices.filter((t) => t === type).length;
  const pairs = [
    ["machine", spec.machine, machine.type],
    ["vCPUs", spec.cpus, machine.cpus],
    ["memory", spec.memory, `${machine.memoryBytes / 2 ** 20}MiB`],
    ["balloons", spec.balloon === false ? 0 : 1, count(BALLOON_TYPE)],
    ["the balloon's features", featuresText(balloonOf(spec)), featuresText(machine.balloon)],
    ["nics", spec.nics.length, count("virtio-net-pci")],
    ["disks", spec.disks.length, count("virtio-blk-pci")],
  ] as const;
  for (const [what, inSpec, inQemu] of pairs) {
    if (inSpec !== inQemu) throw refuse(`its spec says ${what} ${inSpec}, QEMU says ${inQemu}`);
  }
}

/** Types of the children of a place in QEMU's object tree. */
async function typesAt(monitor: Monitor, path: string): Promise<string[]> {
  const list = await monitor.execute("qom-list", { path });
  return list.flatMap(({ type }) => /^child<(.+)>$/.exec(type)?.[1] ?? []);
}
