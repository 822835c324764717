import { losesWrites } from "../../src/qemu/mod.ts";
import { guestCommandLine, tcgMemory, type Workload } from "../guest/mod.ts";

export const DOMAIN = "lab";
const MIB = 2 ** 20;

/**
 * The lab guest as a libvirt domain under TCG, its console a file.
 *
 * libvirt rounds memory up to whole MiB, the very lengths that QEMU before 9.0 does not move rightly under TCG
 * (src/qemu/tcgMemory.ts). There the length is given past libvirt, which marks the domain as tainted.
 */
export function domainXml(guest: {
  readonly kernel: string;
  readonly initrd: string;
  readonly console: string;
  readonly memoryMib: number;
  readonly workload: Workload;
  readonly qemuVersion: string;
}): string {
  const { qemuVersion, memoryMib } = guest;
  const bend = losesWrites({ accel: "tcg", qemuVersion, memoryBytes: memoryMib * MIB });
  return `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${DOMAIN}</name>
  <memory unit='MiB'>${memoryMib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>${guest.kernel}</kernel>
    <initrd>${guest.initrd}</initrd>
    <cmdline>${guestCommandLine(guest.workload)}</cmdline>
  </os>
  <cpu mode='custom' match='exact' check='none'><model>Nehalem</model></cpu>
  <on_reboot>destroy</on_reboot>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='virtio'/>
    <serial type='file'><source path='${guest.console}'/></serial>
  </devices>
  ${bend ? exactMemory(memoryMib) : ""}
</domain>
`;
}

/** Later arguments win, and libvirt's own backend is left unused. */
function exactMemory(memoryMib: number): string {
  const size = tcgMemory(memoryMib);
  const backend = `memory-backend-ram,id=lab.ram,size=${size}`;
  const args = ["-m", size, "-object", backend, "-machine", "memory-backend=lab.ram"];
  return `<qemu:commandline>${args.map((arg) => `<qemu:arg value='${arg}'/>`).join("")}</qemu:commandline>`;
}
