/** CPU time of what a move needs, from proc(5): QEMU without its vCPUs, agent, relay; the vCPUs apart. */
import { readdirSync, readFileSync } from "node:fs";
import { cpuMsOf, threadCpuMsOf } from "../processes.ts";

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** Given to every QEMU of the bench: only then do its threads have names, by which the vCPUs are told from the rest. */
export const NAMED_THREADS = ["-name", "debug-threads=on"] as const;
/** "CPU 0/TCG", "CPU 1/KVM"; one thread for all: "ALL CPUs/TCG". */
const VCPU = /^(CPU \d+|ALL CPUs)\//;

export interface CpuMs {
  /** Of the host: everything but vCPUs. */
  readonly hostMs: number;
  readonly vcpuMs: number;
}

export const NO_CPU: CpuMs = { hostMs: 0, vcpuMs: 0 };

/**
 * From `b` until `a`. Never less than nothing: ticks are coarse. A QEMU that has ended since has no threads any more,
 * and all it ever used seems to be the host's: then what its vCPUs had used before is taken out again.
 */
export function minus(a: CpuMs, b: CpuMs): CpuMs {
  if (a.vcpuMs < b.vcpuMs)
    return { hostMs: Math.max(0, a.hostMs + a.vcpuMs - b.hostMs - b.vcpuMs), vcpuMs: 0 };
  return { hostMs: Math.max(0, a.hostMs - b.hostMs), vcpuMs: Math.max(0, a.vcpuMs - b.vcpuMs) };
}

/** Of one QEMU since its start; undefined when it is gone. */
export function qemuCpu(pid: number): CpuMs | undefined {
  const allMs = cpuMsOf(pid);
  if (allMs === undefined) return undefined;
  let vcpuMs = 0;
  for (const tid of list(`/proc/${pid}/task`)) {
    if (VCPU.test(read(`/proc/${pid}/task/${tid}/comm`))) vcpuMs += threadCpuMsOf(pid, Number(tid)) ?? 0;
  }
  return { hostMs: Math.max(0, allMs - vcpuMs), vcpuMs };
}

/**
 * Everything that an agent has started and is itself. The kernel adds a child's whole life to the agent's account when
 * the child has ended; a QEMU's vCPUs are in that sum, and are taken out again by what they were last seen to have used.
 */
export class AgentCpu {
  readonly #pid: number;
  readonly #qemus = new Map<number, CpuMs>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Call it ten times a second while QEMUs may end. */
  read(): CpuMs {
    for (;;) {
      const before = accountOf(this.#pid);
      const sum = this.#sum(before);
      // A child that ended meanwhile would be counted twice, or not at all.
      if (accountOf(this.#pid)?.childrenMs === before?.childrenMs) return sum;
    }
  }

  #sum(agent: Account | undefined): CpuMs {
    let hostMs = agent === undefined ? 0 : agent.ownMs + agent.childrenMs;
    let vcpuMs = 0;
    const alive = new Set<number>();
    for (const { pid, comm } of childrenOf(this.#pid)) {
      if (!comm.startsWith("qemu")) {
        const child = accountOf(pid);
        if (child !== undefined) hostMs += child.ownMs + child.childrenMs;
        continue;
      }
      const seen = qemuCpu(pid);
      if (seen === undefined) continue;
      // One that has ended and waits to be reaped has no threads any more.
      const vcpus = Math.max(seen.vcpuMs, this.#qemus.get(pid)?.vcpuMs ?? 0);
      const qemu = { hostMs: seen.hostMs + seen.vcpuMs - vcpus, vcpuMs: vcpus };
      alive.add(pid);
      this.#qemus.set(pid, qemu);
      hostMs += qemu.hostMs;
      vcpuMs += qemu.vcpuMs;
    }
    for (const [pid, last] of this.#qemus) {
      if (alive.has(pid)) continue;
      hostMs -= last.vcpuMs;
      vcpuMs += last.vcpuMs;
    }
    return { hostMs, vcpuMs };
  }
}

interface Account {
  readonly ownMs: number;
  /** Of children that have ended, and theirs. */
  readonly childrenMs: number;
}

function accountOf(pid: number): Account | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === "") return undefined;
  const field = fieldsOf(stat);
  return { ownMs: (field(14) + field(15)) * TICK_MS, childrenMs: (field(16) + field(17)) * TICK_MS };
}

function childrenOf(parent: number): { pid: number; comm: string }[] {
  return list("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const stat = read(`/proc/${name}/stat`);
    if (stat === "" || fieldsOf(stat)(4) !== parent) return [];
    return [{ pid: Number(name), comm: stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")) }];
  });
}

/** Fields are counted from 1 as in proc(5); the name in parentheses, which may hold anything, is the second. */
function fieldsOf(stat: string): (number: number) => number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (number) => Number(fields[number - 3]);
}

/** Processes and threads come and go while they are looked at: then there is nothing to read. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
}
