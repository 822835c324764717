import { spawn } from "node:child_process";
import { closeSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import { qemuArgs, vmPaths } from "./args.ts";
import { assert } from "./assert.ts";
import { type Monitor, openMonitor } from "./monitor.ts";
import { DEFAULT_QEMU, type QemuCommand } from "./probe.ts";
import { isAlive, type ProcessId, processId, signal, waitForExit } from "./process.ts";
import { readRecord, type VmRecord, writeRecord } from "./record.ts";
import { resolveSpec } from "./resolve.ts";
import { openLog, privateDir, socketPath } from "./runDir.ts";
import type { ResolvedSpec, VmSpec } from "./spec.ts";
import { versionText } from "./version.ts";

const START_MS_MAX = 20_000;
const QUIT_MS = 3_000;
const KILL_MS = 5_000;
const RETRY_MS = 10;
const LOG_TAIL_CHARS = 1_000;

/** A QEMU that runs, and how to speak to it. */
export interface RunningVm {
  readonly spec: ResolvedSpec;
  readonly dir: string;
  readonly monitor: Monitor;
  /** null: adopted, and its process cannot be seen from here. */
  readonly process: ProcessId | null;
  readonly qemuVersion: string;
  /** Path of the serial console's socket; null where there is none. */
  readonly serialPath: string | null;
  readonly serialLogPath: string | null;
}

interface Place {
  /** The VM's own folder; made, mode 0700. Removed again when the start fails. */
  readonly dir: string;
  /** The QEMU of this host, where the spec names none. */
  readonly qemu?: QemuCommand;
}

export type LaunchOptions = Place &
  (
    | { readonly mode: "run"; readonly spec: VmSpec }
    | { readonly mode: "incoming"; readonly spec: ResolvedSpec }
  );

/**
 * Starts a QEMU that outlives us: own session, its files in `dir`. With mode `incoming` it waits, stopped, for a
 * migration into exactly this machine.
 * Errors: QEMU_MISSING, QEMU_START_FAILED with QEMU's words, MACHINE_UNKNOWN, KVM_UNUSABLE, PATH_UNSAFE, PATH_TOO_LONG.
 */
export async function launchVm(options: LaunchOptions): Promise<RunningVm> {
  const { dir, mode } = options;
  const paths = vmPaths(dir);
  for (const path of [paths.qmp, paths.oob, paths.serial]) socketPath(path);
  // A running VM's spec decides its QEMU; an incoming one comes from another host, whose paths mean nothing here.
  const named = options.spec.qemu ?? DEFAULT_QEMU;
  const qemu =
    mode === "incoming" ? (options.qemu ?? named) : (options.spec.qemu ?? options.qemu ?? DEFAULT_QEMU);
  const resolved = options.mode === "run" ? await resolveSpec(options.spec, qemu) : options.spec;
  const spec: ResolvedSpec = { ...resolved, qemu: { binary: qemu.binary, args: [...qemu.args] } };
  privateDir(dir);
  const there = readRecord(dir);
  if (there?.process && isAlive(there.process)) throw new GodwitError("VM_EXISTS", { vm: there.spec.name });
  try {
    const started = await startProcess(
      qemu,
      [...qemu.args, ...qemuArgs(spec, paths, mode)],
      paths.log,
      spec.name,
    );
    try {
      const monitor = await openWhenReady(started, paths, spec.name);
      const vm = await describe(spec, dir, monitor, started.process);
      writeRecord(dir, recordOf(vm, mode === "incoming"));
      return vm;
    } catch (error) {
      signal(started.process, "SIGKILL");
      await waitForExit(started.process, KILL_MS);
      throw error;
    }
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Ends a QEMU: `quit`, then SIGKILL. Fine when it has ended already. Its folder stays.
 * Errors: QEMU_NO_EXIT when the kernel does not let it go.
 */
export async function stopVm(vm: Pick<RunningVm, "monitor" | "process" | "spec">): Promise<void> {
  const { monitor, process } = vm;
  const asked = await quit(monitor);
  if (process !== null && !(asked && (await waitForExit(process, QUIT_MS)))) {
    signal(process, "SIGKILL");
    if (!(await waitForExit(process, KILL_MS)))
      throw new GodwitError("QEMU_NO_EXIT", { vm: vm.spec.name, pid: process.pid });
  }
  monitor.close();
}

/** False when QEMU does not answer: then only a signal ends it. */
async function quit(monitor: Monitor): Promise<boolean> {
  try {
    await monitor.execute("quit", {}, { timeoutMs: QUIT_MS });
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return error.code === "QMP_CLOSED"; // gone already, or going
  }
  return true;
}

/** What the folder of this VM is to say about it. */
export function recordOf(vm: RunningVm, incoming: boolean): VmRecord {
  return { version: 1, spec: vm.spec, process: vm.process, incoming, adopted: null };
}

/** Reads off a monitor what is not in the spec. */
export async function describe(
  spec: ResolvedSpec,
  dir: string,
  monitor: Monitor,
  process: ProcessId | null,
): Promise<RunningVm> {
  const paths = vmPaths(dir);
  return {
    spec,
    dir,
    monitor,
    process,
    qemuVersion: versionText(await monitor.execute("query-version")),
    serialPath: spec.serial ? paths.serial : null,
    serialLogPath: spec.serial ? paths.serialLog : null,
  };
}

interface Started {
  readonly process: ProcessId;
  /** Set once it has ended. */
  readonly ended: () => string | null;
  readonly logPath: string;
}

async function startProcess(
  qemu: QemuCommand,
  args: string[],
  logPath: string,
  vm: string,
): Promise<Started> {
  const log = openLog(logPath);
  let ended: string | null = null;
  try {
    const child = spawn(qemu.binary, args, { detached: true, stdio: ["ignore", log, log] });
    child.on("exit", (code, by) => {
      ended = by === null ? `status ${code}` : `signal ${by}`;
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) =>
        reject(
          new GodwitError("QEMU_MISSING", { binary: qemu.binary, reason: error.message }, { cause: error }),
        ),
      );
    });
    child.unref();
    assert(child.pid !== undefined, "a spawned child has a pid");
    const process = processId(child.pid);
    if (process === null) throw startFailed(vm, logPath, "QEMU ended at once");
    return { process, ended: () => ended, logPath };
  } finally {
    closeSync(log);
  }
}

/** QEMU greets on its monitor only after the machine has been built: a greeting means that it started. */
async function openWhenReady(
  started: Started,
  paths: ReturnType<typeof vmPaths>,
  vm: string,
): Promise<Monitor> {
  const until = performance.now() + START_MS_MAX;
  for (;;) {
    const leftMs = until - performance.now();
    try {
      return await openMonitor(paths.qmp, paths.oob, Math.max(1, leftMs));
    } catch (error) {
      if (!isGodwitError(error) || error.code === "PATH_UNSAFE") throw error;
      // The socket closes a moment before the process is gone: give it the time to say why.
      if (error.code === "QMP_CLOSED") await waitForExit(started.process, 2_000);
      if (!isAlive(started.process))
        throw startFailed(vm, started.logPath, `it ended with ${started.ended()}`, error);
      if (leftMs <= 0) throw startFailed(vm, started.logPath, "its monitor does not answer", error);
    }
    await sleep(RETRY_MS);
  }
}

function startFailed(vm: string, logPath: string, otherwise: string, cause?: unknown): GodwitError {
  const words = logTail(logPath);
  return new GodwitError("QEMU_START_FAILED", { vm, qemuSays: words || otherwise }, { cause });
}

/** The end of QEMU's log; empty when it wrote nothing. */
export function logTail(path: string): string {
  try {
    return readFileSync(path, "utf8").slice(-LOG_TAIL_CHARS).trim();
  } catch {
    return ""; // an adopted QEMU has its log elsewhere
  }
}
