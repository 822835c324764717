import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  launchVm,
  parseSpec,
  type QemuCommand,
  type ResolvedSpec,
  type RunningVm,
  stopVm,
  type VmSpecInput,
} from "../../src/qemu/mod.ts";
import { guestCommandLine, type Workload } from "../guest/mod.ts";
import { artefacts } from "../setup/mod.ts";

/** One QEMU of the rig with the console of its guest fed into the oracle. */
export interface RigVm {
  readonly vm: RunningVm;
  readonly dir: string;
  /** Unix path for an incoming migration; nobody listens there until `migrate-incoming`. */
  readonly incoming: string;
  /** One command line for the workload (lab/guest/README.md). */
  say(command: string): void;
  stop(): Promise<void>;
}

export interface RigGuest {
  /** Also a wrapper that starts it elsewhere, in a namespace. */
  readonly qemu: QemuCommand;
  readonly memoryMib: number;
  readonly workload: Workload;
  /** Versioned, where two QEMU versions have to agree. Default q35. */
  readonly machine?: string;
  readonly cpu?: string;
  readonly cpus?: number;
  readonly accel?: "tcg" | "kvm";
  readonly name?: string;
  /** Instead of the lab guest's own. */
  readonly initrd?: string;
  /** More for the kernel's command line, after the workload's. */
  readonly append?: string;
  readonly nics?: VmSpecInput["nics"];
  readonly disks?: VmSpecInput["disks"];
  readonly balloon?: VmSpecInput["balloon"];
  /** How long the boot may take: 3 s, or minutes beside much else. Default three minutes. */
  readonly bootMs?: number;
}

/** Who listens to the guest's console: a `GuestOracle`, or something like it. */
export interface RigEar {
  /** @param nowMs  `performance.now()` */
  feed(chunk: string, nowMs: number): unknown;
  readonly ready: boolean;
  readonly faults: readonly string[];
}

/** The machine of this guest, as an agent or the rig itself would start it. */
export function rigSpec(guest: Omit<RigGuest, "qemu" | "bootMs">): VmSpecInput {
  const { kernel, initrd } = artefacts();
  const { cpus, nics, disks, balloon } = guest;
  const append = guestCommandLine(guest.workload);
  return {
    name: guest.name ?? "rig",
    memory: `${guest.memoryMib}MiB`,
    machine: guest.machine ?? "q35",
    cpu: guest.cpu ?? "Nehalem-v1",
    accel: guest.accel ?? "tcg",
    kernel,
    initrd: guest.initrd ?? initrd,
    append: guest.append === undefined ? append : `${append} ${guest.append}`,
    heartbeat: true,
    ...(cpus !== undefined && { cpus }),
    ...(nics !== undefined && { nics }),
    ...(disks !== undefined && { disks }),
    ...(balloon !== undefined && { balloon }),
  };
}

/** Starts the lab guest; resolves when its workload runs, and leaves nothing when it does not. */
export async function startGuest(guest: RigGuest, oracle: RigEar): Promise<RigVm> {
  const { binary, args } = guest.qemu;
  const spec = parseSpec({ ...rigSpec(guest), qemu: { binary, args: [...args] } });
  const rig = await launch({ mode: "run", spec }, guest.qemu, oracle);
  try {
    await until(() => oracle.ready, guest.bootMs ?? 180_000, "the guest's workload to start", oracle);
  } catch (error) {
    await rig.stop();
    throw error;
  }
  return rig;
}

/** Starts a QEMU that waits, stopped, for the guest of `source`. */
export function startTarget(source: RigVm, qemu: QemuCommand, oracle: RigEar): Promise<RigVm> {
  return launch({ mode: "incoming", spec: source.vm.spec }, qemu, oracle);
}

async function launch(
  what: { mode: "run"; spec: ReturnType<typeof parseSpec> } | { mode: "incoming"; spec: ResolvedSpec },
  qemu: QemuCommand,
  oracle: RigEar,
): Promise<RigVm> {
  const top = mkdtempSync(join(tmpdir(), "gw-rig-"));
  const dir = join(top, "vm");
  const vm = await launchVm({ ...what, dir, qemu: { binary: qemu.binary, args: [...qemu.args] } }).catch(
    (error) => {
      rmSync(top, { recursive: true, force: true });
      throw error;
    },
  );
  const console_ = net.connect(vm.serialPath as string);
  console_.on("error", () => undefined);
  console_.on("data", (bytes) => oracle.feed(bytes.toString("latin1"), performance.now()));
  return {
    vm,
    dir: top,
    incoming: join(top, "in.sock"),
    say: (command) => void console_.write(`${command}\n`),
    async stop() {
      console_.destroy();
      await stopVm(vm);
      rmSync(top, { recursive: true, force: true });
    },
  };
}

/** Waits for a condition; on a fault of the guest or when the time is over it throws, saying what it waited for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  ms: number,
  what: string,
  oracle?: Pick<RigEar, "faults">,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (oracle !== undefined && oracle.faults.length > 0) throw new Error(`the guest: ${oracle.faults[0]}`);
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await sleep(20);
  }
}

/** Waits until the guest has verified its whole working set after now: the second pass that ends from here on. */
export async function verified(
  oracle: Pick<RigEar, "faults"> & { readonly passesOk: number },
  ms = 120_000,
): Promise<void> {
  const goal = oracle.passesOk + 2;
  await until(() => oracle.passesOk >= goal, ms, "two verification passes", oracle);
}
