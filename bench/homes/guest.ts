import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { MANNERS, type Manner } from "../../lab/guest/mod.ts";
import type { RigGuest } from "../../lab/rig/mod.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import { kvmVerdict } from "../../src/qemu/mod.ts";
import { diskOfLoads } from "../loads/mod.ts";
import type { HomeGuest, OpenHomeOptions } from "../types.ts";
import type { GuestConsole } from "./console.ts";

const POLL_MS = 20;
/** A guest boots in a few seconds; a load's own programs take longer, and guests of one home share the cores. */
const BOOT_MS = 120_000;
/**
 * A guest that was held by SIGSTOP sees its clock jump. It must not take that for a hang of its own, and say so on the
 * console as a bug.
 */
const NO_WATCHDOGS = "nowatchdog rcupdate.rcu_cpu_stall_suppress=1";

/** What a guest of a home is, for the rig and for an agent alike. Errors: BENCH_NO_NETWORK. */
export async function guestOf(options: OpenHomeOptions, index: number): Promise<Omit<RigGuest, "qemu">> {
  const { cell, load, stage, first, seed, qemu } = options;
  const { setMib, pagesPerSec, mode, hotPercent } = cell.workload;
  assert((MANNERS as readonly string[]).includes(mode), `the lab guest has no mode ${mode}`);
  const nic = load.network ? stage.nic(first + index) : null;
  if (load.network && nic === null) throw new GodwitError("BENCH_NO_NETWORK", { load: load.name });
  const more = load.append(nic?.address ?? null);
  const { usable } = await kvmVerdict({ binary: qemu.binary, args: qemu.args });
  return {
    name: `g${index}`,
    memoryMib: cell.memoryMib,
    cpus: cell.cpus,
    accel: usable ? "kvm" : "tcg",
    // a seed of the guest is never 0
    workload: {
      ...{ setMib, pagesPerSec, mode: mode as Manner, seed: 1 + ((seed + index) % 2 ** 30) },
      ...(hotPercent !== undefined && { hotPercent }),
    },
    initrd: load.initrd,
    append: more === "" ? NO_WATCHDOGS : `${NO_WATCHDOGS} ${more}`,
    nics: nic === null ? [] : [{ type: "tap", ifname: nic.ifname, mac: nic.mac }],
    ...(cell.freeable !== undefined && { balloon: { hints: true } }),
    disks: disksOf(options).map((path) => ({ path, format: "raw", readOnly: true })),
    bootMs: BOOT_MS * cell.guests,
  };
}

/** The page cache is filled from the first one. */
function disksOf({ cell, load }: OpenHomeOptions): readonly string[] {
  return load.disks ?? (cell.freeable === undefined ? [] : [diskOfLoads()]);
}

export interface BenchGuestParts {
  readonly index: number;
  readonly console: GuestConsole;
  /** Where it is, for messages. */
  readonly host: () => string;
  /** Types on its console, wherever that is. */
  readonly type: (text: string) => void;
}

/** A guest of either home, as a load sees it. */
export class BenchGuest implements HomeGuest {
  readonly index: number;
  readonly name: string;
  readonly console: GuestConsole;
  readonly #parts: BenchGuestParts;

  constructor(parts: BenchGuestParts) {
    this.#parts = parts;
    this.index = parts.index;
    this.name = `g${parts.index}`;
    this.console = parts.console;
  }

  onLine(listener: (line: string, atMs: number) => void): () => void {
    return this.console.onLine(listener);
  }

  say(command: string): void {
    this.#parts.type(`${command}\n`);
  }

  /** Errors: GUEST_CORRUPT, GUEST_SILENT. */
  async verified(timeoutMs: number): Promise<void> {
    const { console, name } = this;
    const goal = console.passesOk + 2;
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      const [fault] = console.faults;
      const host = this.#parts.host();
      if (fault !== undefined) throw new GodwitError("GUEST_CORRUPT", { vm: name, host, line: fault });
      if (console.passesOk >= goal) return;
      if (performance.now() > untilMs)
        throw new GodwitError("GUEST_SILENT", { vm: name, host, status: "not asked", afterMs: timeoutMs });
      await sleep(POLL_MS);
    }
  }
}
