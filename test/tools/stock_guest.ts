/**
 * A lab guest under a QEMU that the test starts by itself, with nothing of Godwit in its path: for tests of the lab
 * guest, and as the control that other tests are compared with.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  artefacts,
  GuestOracle,
  guestCommandLine,
  type QemuArtefact,
  tcgMemory,
  type Workload,
} from "../../lab/mod.ts";
import type { Qmp } from "../../src/qemu/mod.ts";
import { qmpWhenThere } from "./qmp.ts";

export interface StockGuestOptions {
  readonly qemu: QemuArtefact;
  readonly machine: string;
  readonly memoryMib: number;
  readonly workload: Workload;
  /** Folder for the QMP socket. */
  readonly folder: string;
  readonly name: string;
  /** Path of the socket on which it waits for a migration. */
  readonly incoming?: string;
  /** Follows the guest from one QEMU to the next. Default: a new one. */
  readonly oracle?: GuestOracle;
}

export interface StockGuest {
  readonly oracle: GuestOracle;
  /** Sends a line to the guest's program. */
  tell(line: string): void;
  readonly qmp: Qmp;
  /** Waits until `reached`; fails with the guest's last lines when QEMU ends or the time is over. */
  until(what: string, reached: () => boolean, timeoutMs?: number): Promise<void>;
  quit(): Promise<void>;
}

export async function startStockGuest(t: TestContext, options: StockGuestOptions): Promise<StockGuest> {
  const { kernel, initrd } = artefacts();
  const { qemu, folder, name } = options;
  const qmpPath = `${folder}/${name}.qmp`;
  const child = spawn(
    qemu.binary,
    [
      ...qemu.args,
      ...["-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg", "-cpu", "Nehalem-v1"],
      ...["-machine", options.machine, "-m", tcgMemory(options.memoryMib)],
      ...["-kernel", kernel, "-initrd", initrd, "-append", guestCommandLine(options.workload)],
      ...["-serial", "stdio", "-qmp", `unix:${qmpPath},server=on,wait=off`],
      ...["-device", "virtio-balloon-pci"],
      ...(options.incoming === undefined ? [] : ["-incoming", `unix:${options.incoming}`]),
    ],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  const exited = once(child, "exit");
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  t.after(() => child.kill("SIGKILL"));
  const oracle = options.oracle ?? new GuestOracle();
  let tail = "";
  const take = (chunk: string): void => {
    tail = (tail + chunk).slice(-4000);
  };
  child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
    take(chunk);
    oracle.feed(chunk, performance.now());
  });
  child.stderr.setEncoding("utf8").on("data", take);
  const until: StockGuest["until"] = async (what, reached, timeoutMs = 60_000) => {
    const deadlineMs = performance.now() + timeoutMs;
    while (!reached()) {
      const late = performance.now() > deadlineMs;
      if (ended || late) {
        const lines = tail.split("\n").filter((line) => !/^H \d/.test(line));
        const why = ended ? "QEMU ended before" : "not in time:";
        throw new Error([`${name}: ${why} ${what}`, ...lines].join("\n"));
      }
      await sleep(20);
    }
  };
  const qmp = await qmpWhenThere(qmpPath, () => (ended ? tail : null));
  t.after(() => qmp.close());
  return {
    oracle,
    tell: (line) => void child.stdin.write(`${line}\n`),
    qmp,
    until,
    async quit() {
      child.kill("SIGKILL");
      if (!ended) await exited;
    },
  };
}
