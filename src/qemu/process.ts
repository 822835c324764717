import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessId {
  readonly pid: number;
  /** When it started, in clock ticks since the host booted (field 22 of /proc/PID/stat). */
  readonly startTicks: number;
}

const POLL_MS = 20;

/** Identity of a running process, or null when there is none (a zombie has ended, too). */
export function processId(pid: number): ProcessId | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null; // no such process
  }
  // The name in parentheses may hold spaces and parentheses itself: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return null;
  return { pid, startTicks: Number(fields[19]) };
}

/** Whether this very process still runs: the same pid with other start ticks is another process. */
export function isAlive(process: ProcessId): boolean {
  return processId(process.pid)?.startTicks === process.startTicks;
}

/** True when the process ended within the time. Works for processes that are not our children. */
export async function waitForExit(process: ProcessId, timeoutMs: number): Promise<boolean> {
  const until = performance.now() + timeoutMs;
  while (isAlive(process)) {
    if (performance.now() >= until) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Sends the signal unless the process has ended. */
export function signal(target: ProcessId, name: NodeJS.Signals): void {
  if (!isAlive(target)) return;
  try {
    process.kill(target.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The process that listens on this unix socket, or null when it cannot be seen (another user's, a container). */
export function listenerOf(socketPath: string): ProcessId | null {
  const inodes = new Set<string>();
  for (const line of readFileSync("/proc/net/unix", "utf8").split("\n").slice(1)) {
    const [, , , flags, , , inode, path] = line.split(/\s+/);
    const ACCEPTS = 0x10000; // __SO_ACCEPTCON
    if (path === socketPath && (Number.parseInt(flags ?? "0", 16) & ACCEPTS) !== 0)
      inodes.add(`socket:[${inode}]`);
  }
  if (inodes.size === 0) return null;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    for (const fd of listOrNothing(`/proc/${entry}/fd`)) {
      if (inodes.has(linkOrNothing(`/proc/${entry}/fd/${fd}`))) return processId(Number(entry));
    }
  }
  return null;
}

/** Processes come and go, and others' files are closed to us, while /proc is read. */
function listOrNothing(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkOrNothing(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
