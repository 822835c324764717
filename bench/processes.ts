/** What the kernel knows of processes: CPU time and memory, from proc(5). */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** USER_HZ: 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** User and system time of a process and all its threads so far; undefined when it is gone. */
export function cpuMsOf(pid: number): number | undefined {
  return cpuMsIn(`/proc/${pid}/stat`);
}

/** The same of one thread. */
export function threadCpuMsOf(pid: number, tid: number): number | undefined {
  return cpuMsIn(`/proc/${pid}/task/${tid}/stat`);
}

function cpuMsIn(path: string): number | undefined {
  const stat = read(path);
  if (stat === undefined) return undefined;
  // The name in parentheses may hold anything; the fields behind it are counted from 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[14 - 3]) + Number(fields[15 - 3])) * TICK_MS;
}

/** The largest resident set that a process has had, bytes; undefined when it is gone. */
export function peakRssBytes(pid: number): number | undefined {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? "");
  return match === null ? undefined : Number(match[1]) * 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Time that all processors together have spent not idle so far. */
export function machineBusyMs(): number {
  let busyMs = 0;
  for (const { times } of cpus()) busyMs += times.user + times.nice + times.sys + times.irq;
  return busyMs;
}
