/** One measured move of the bench of the relay, and the guest that is moved again and again. */
import { setTimeout as sleep } from "node:timers/promises";
import type { QemuArtefact } from "../../lab/mod.ts";
import { GuestOracle } from "../../lab/mod.ts";
import { move, type RigVm, startGuest, startTarget, until, verified } from "../../lab/rig/mod.ts";
import { cpuMsOf, machineBusyMs, peakRssBytes, threadCpuMsOf } from "../processes.ts";
import { openPath, type Way } from "./ways.ts";

/** What one move took. CPU times are user and system together, while the migration ran. */
export interface Crossing {
  readonly way: Way;
  readonly totalTimeMs: number;
  readonly downtimeMs: number;
  readonly passes: number;
  /** As the source QEMU counts what it wrote. */
  readonly transferredBytes: number;
  /**
   * `source` and `target`: the QEMUs without their guest; `guest`: the vCPU on both sides, which runs on as long as the
   * move lasts; `near` and `far`: relays; `shaper`.
   */
  readonly cpuMs: Readonly<Record<string, number>>;
  /** `near` and `far`. */
  readonly peakRssBytes: Readonly<Record<string, number>>;
  /** CPU time that went to processes which are no part of this, in processors. The noise. */
  readonly othersCpus: number;
}

/** Memory of the guest that the kernel and the workload need beside what is filled. */
const SYSTEM_MIB = 160;

/** Sees when the guest has filled its memory. */
class FillOracle extends GuestOracle {
  filled = false;
  override feed(chunk: string, nowMs: number): ReturnType<GuestOracle["feed"]> {
    const lines = super.feed(chunk, nowMs);
    for (const line of lines) {
      if (line.kind !== "other") continue;
      if (line.text.startsWith("F filled")) this.filled = true;
      if (line.text.startsWith("E ")) this.faults.push(line.text);
    }
    return lines;
  }
}

export interface BenchGuest {
  /** Moves the guest to a new QEMU, which is its home from then on. */
  cross(way: Way, bytesPerSec: number): Promise<Crossing>;
  /** Waits until the guest has verified its working set. @throws what its oracle found */
  judge(): Promise<void>;
  /** At any moment, also in the middle of a move. */
  stop(): Promise<void>;
}

/** A guest with its memory filled with what cannot be compressed, nearly idle, so that every move is alike. */
export async function bootBenchGuest(options: {
  readonly qemu: QemuArtefact;
  readonly memoryMib: number;
  readonly setMib: number;
}): Promise<BenchGuest> {
  const { qemu, memoryMib, setMib } = options;
  const oracle = new FillOracle();
  const workload = { setMib, mode: "idle", heartbeatMs: 100 } as const;
  let home: RigVm = await startGuest({ qemu, memoryMib, workload }, oracle);
  try {
    const fillMib = memoryMib - setMib - SYSTEM_MIB;
    if (fillMib > 0) {
      home.say(`fill ${fillMib}`);
      await until(() => oracle.filled, 300_000, "the guest to fill its memory", oracle);
    }
  } catch (error) {
    await home.stop();
    throw error;
  }

  const rigs = new Set([home]);
  const leave = (rig: RigVm): Promise<void> => {
    rigs.delete(rig);
    return rig.stop();
  };
  const cross = async (way: Way, bytesPerSec: number): Promise<Crossing> => {
    const source = home;
    const target = await startTarget(source, qemu, oracle);
    rigs.add(target);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => leave(home === target ? source : target));
    const path = await openPath(way, { folder: source.dir, incoming: target.incoming, bytesPerSec });
    stack.defer(() => path.close());
    await sleep(200); // whatever was just started comes to rest

    const qemus = { source: await threadsOf(source), target: await threadsOf(target) };
    const before = cpuOf(qemus, path.pids);
    const busyBeforeMs = machineBusyMs();
    const ownBeforeMs = process.cpuUsage();
    const peaks: Record<string, number> = {};
    const look = () => {
      for (const name of ["near", "far"]) {
        const pid = path.pids[name];
        const bytes = pid === undefined ? undefined : peakRssBytes(pid);
        if (bytes !== undefined) peaks[name] = bytes;
      }
    };
    const looking = setInterval(look, 100);
    stack.defer(() => clearInterval(looking));
    const moved = await move(source, target, { to: path.to, at: path.at, timeoutMs: 600_000 });
    home = target;
    look();
    const elapsedBusyMs = machineBusyMs() - busyBeforeMs;
    const own = process.cpuUsage(ownBeforeMs);
    // Relays leave when their migration has ended, and tell their own time.
    const cpuMs = { ...difference(cpuOf(qemus, path.pids), before), ...(await path.settled()) };
    const usedMs = Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0) + (own.user + own.system) / 1000;
    return {
      way,
      totalTimeMs: moved.totalTimeMs,
      downtimeMs: moved.downtimeMs,
      passes: moved.info.ram?.["dirty-sync-count"] ?? 0,
      transferredBytes: moved.info.ram?.transferred ?? 0,
      cpuMs,
      peakRssBytes: peaks,
      othersCpus: Math.max(0, (elapsedBusyMs - usedMs) / moved.totalTimeMs),
    };
  };
  return {
    cross,
    judge: () => verified(oracle),
    stop: async () => void (await Promise.all([...rigs].map(leave))),
  };
}

type CpuMs = Record<string, number>;

interface Threads {
  readonly pid: number;
  readonly vcpus: readonly number[];
}

async function threadsOf({ vm }: RigVm): Promise<Threads> {
  const cpus = await vm.monitor.execute("query-cpus-fast");
  return { pid: vm.process!.pid, vcpus: cpus.map((cpu) => cpu["thread-id"]) };
}

/** Of the processes that are there. */
function cpuOf(
  qemus: { readonly source: Threads; readonly target: Threads },
  pids: Readonly<Record<string, number>>,
): CpuMs {
  const cpuMs: CpuMs = { source: 0, target: 0, guest: 0 };
  for (const name of ["source", "target"] as const) {
    const { pid, vcpus } = qemus[name];
    const guestMs = vcpus.reduce((sum, tid) => sum + (threadCpuMsOf(pid, tid) ?? 0), 0);
    cpuMs["guest"]! += guestMs;
    cpuMs[name] = (cpuMsOf(pid) ?? Number.NaN) - guestMs;
  }
  for (const [name, pid] of Object.entries(pids)) {
    const ms = cpuMsOf(pid);
    if (ms !== undefined) cpuMs[name] = ms;
  }
  return cpuMs;
}

function difference(after: CpuMs, before: CpuMs): CpuMs {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - before[name]!]));
}
