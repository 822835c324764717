import { readFileSync } from "node:fs";

/** Bytes that went out of and came in by an interface since it was made. */
export interface InterfaceBytes {
  readonly sent: number;
  readonly received: number;
}

/**
 * The kernel's counters of an interface in the network namespace of a process: proc_net_dev, in the table of proc(5).
 * Link headers are counted, the preamble and the checksum of a frame are not.
 * @throws Error when the process or the interface is gone
 */
export function interfaceBytesOf(pid: number, ifname: string): InterfaceBytes {
  const table = readFileSync(`/proc/${pid}/net/dev`, "latin1");
  const line = table.split("\n").find((text) => text.trimStart().startsWith(`${ifname}:`));
  if (line === undefined) throw new Error(`process ${pid} has no interface ${ifname}`);
  const fields = line
    .slice(line.indexOf(":") + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  return { received: fields[0]!, sent: fields[8]! };
}
