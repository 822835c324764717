/** The processes of a host that a fault can strike, found in /proc by what they are. */
import { readdirSync, readFileSync } from "node:fs";

export const ROLES = ["QEMU", "agent", "relay"] as const;
export type Role = (typeof ROLES)[number];

/** What tells a host's processes from those of others. */
export interface HostMarks {
  readonly agentPid: number;
  /** A path that stands in the command line of this host's QEMUs, and of no other process. */
  readonly qemuMark: string;
}

/** Pid of the host's process in that role; null: there is none now. Of several the newest. */
export function victimOf(role: Role, { agentPid, qemuMark }: HostMarks): number | null {
  if (role === "agent") return agentPid;
  const ofHost = (pid: number): boolean =>
    role === "QEMU"
      ? commandLine(pid).some((word) => word.includes(qemuMark))
      : parentOf(pid) === agentPid && commandLine(pid).some((word) => word.endsWith("/relay/child.ts"));
  return pids().findLast(ofHost) ?? null;
}

/** Every running pid, in ascending order. */
function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

function commandLine(pid: number): string[] {
  return procFile(pid, "cmdline").split("\0");
}

/** Field 4 of /proc/PID/stat; the name before it, in brackets, may have spaces. */
function parentOf(pid: number): number {
  const stat = procFile(pid, "stat");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/** Empty for a process that has ended meanwhile. */
function procFile(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
