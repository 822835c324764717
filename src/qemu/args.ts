import { join } from "node:path";
import { BALLOON_PROPERTIES } from "./balloonDevice.ts";
import { type BalloonFeatures, balloonOf, memoryBytesOf, type ResolvedSpec } from "./spec.ts";

/** The files of a launched VM, in its run dir. */
export interface VmPaths {
  readonly qmp: string;
  readonly oob: string;
  readonly serial: string;
  readonly serialLog: string;
  readonly log: string;
  readonly pidFile: string;
  readonly record: string;
}

/** Where a VM's files lie in its folder. Nothing is made or checked. */
export function vmPaths(dir: string): VmPaths {
  const at = (name: string) => join(dir, name);
  return {
    qmp: at("qmp"),
    oob: at("oob"),
    serial: at("serial"),
    serialLog: at("serial.log"),
    log: at("qemu.log"),
    pidFile: at("pid"),
    record: at("vm.json"),
  };
}

/** QEMU splits option values at commas; a doubled comma is one. */
function quote(value: string): string {
  return value.replaceAll(",", ",,");
}

/**
 * QEMU's arguments for this machine. The order of devices decides their PCI slots, and these are part of the
 * migration stream: balloon, nics, disks.
 */
export function qemuArgs(spec: ResolvedSpec, paths: VmPaths, mode: "run" | "incoming"): string[] {
  const args = ["-nodefaults", "-no-user-config", "-display", "none"];
  args.push("-name", `guest=${quote(spec.name)}`, "-uuid", spec.uuid);
  const machine = `${spec.machine},accel=${spec.accel}`;
  args.push("-machine", spec.memfd ? `${machine},memory-backend=ram0` : machine);
  args.push("-cpu", spec.cpu, "-smp", `${spec.cpus}`);
  const memoryKib = memoryBytesOf(spec) / 1024;
  args.push("-m", `${memoryKib}K`);
  if (spec.memfd) args.push("-object", `memory-backend-memfd,id=ram0,size=${memoryKib}K,share=on`);
  if (spec.kernel !== undefined) args.push("-kernel", spec.kernel);
  if (spec.initrd !== undefined) args.push("-initrd", quote(spec.initrd)); // several, comma separated, for multiboot
  if (spec.append !== undefined) args.push("-append", spec.append);
  for (const [id, path] of [["qmp", paths.qmp] as const, ["oob", paths.oob] as const]) {
    args.push("-chardev", `socket,id=${id},path=${quote(path)},server=on,wait=off`);
    args.push("-mon", `chardev=${id},mode=control`);
  }
  if (spec.serial) {
    // The log keeps what is printed while nobody is connected; append, so that it may be cut by others.
    const log = `logfile=${quote(paths.serialLog)},logappend=on`;
    args.push("-chardev", `socket,id=serial0,path=${quote(paths.serial)},server=on,wait=off,${log}`);
    args.push("-serial", "chardev:serial0");
  }
  const balloon = balloonOf(spec);
  if (balloon !== null) args.push(...balloonArgs(balloon));
  args.push(...spec.nics.flatMap(nicArgs), ...spec.disks.flatMap(diskArgs));
  args.push("-pidfile", paths.pidFile);
  if (mode === "incoming") args.push("-S", "-incoming", "defer");
  return args;
}

/** QEMU takes hints in a thread beside its main loop, and wants to be given one. */
function balloonArgs(features: BalloonFeatures): string[] {
  const on = BALLOON_PROPERTIES.flatMap(([feature, property]) =>
    features[feature] ? [`,${property}=on`] : [],
  );
  const device = `virtio-balloon-pci,id=balloon0${on.join("")}`;
  if (!features.hints) return ["-device", device];
  return ["-object", "iothread,id=balloon-hints", "-device", `${device},iothread=balloon-hints`];
}

function nicArgs(nic: ResolvedSpec["nics"][number], index: number): string[] {
  const backend = nic.type === "user" ? "user" : `tap,ifname=${nic.ifname},script=no,downscript=no`;
  const mac = nic.mac === undefined ? "" : `,mac=${nic.mac}`;
  // No option ROM: it would be one more RAM block whose content depends on the host's packages.
  const device = `virtio-net-pci,id=nic${index},netdev=net${index}${mac},romfile=`;
  return ["-netdev", `${backend},id=net${index}`, "-device", device];
}

function diskArgs(disk: ResolvedSpec["disks"][number], index: number): string[] {
  const file = `file.driver=file,file.filename=${quote(disk.path)}`;
  const node = `driver=${disk.format},node-name=disk${index},${file},read-only=${disk.readOnly ? "on" : "off"}`;
  return ["-blockdev", node, "-device", `virtio-blk-pci,id=vd${index},drive=disk${index}`];
}
