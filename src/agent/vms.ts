import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { GodwitError } from "../errors/mod.ts";
import {
  type AdoptOptions,
  adoptVm,
  connectQmp,
  isAlive,
  launchVm,
  logTail,
  parseSpec,
  privateDir,
  type QemuCommand,
  type ResolvedSpec,
  type RunningVm,
  readRecord,
  reopenVm,
  signal,
  stopVm,
  type VmSpec,
  vmPaths,
  waitForExit,
} from "../qemu/mod.ts";
import type { Clock, EventBus, Vm, VmRegistry } from "./context.ts";
import { VmEntry } from "./vmEntry.ts";

/** A QEMU that ends closes its monitor a moment before it is gone. */
const END_MS = 3_000;

export interface VmsOptions {
  readonly host: string;
  /** Each VM has its folder here. */
  readonly dir: string;
  /** This host's QEMU; null: as the specs say, else the one in PATH. */
  readonly qemu: QemuCommand | null;
}

/** The VMs of this host. Their QEMUs outlive the agent; each folder's record tells the next agent of them. */
export class Vms implements VmRegistry {
  readonly #entries = new Map<string, VmEntry>();
  /** Names that are being started: two at once must not both find the name free. */
  readonly #starting = new Set<string>();
  readonly #options: VmsOptions;
  readonly #with: { readonly clock: Clock; readonly log: Logger };
  readonly #events: EventBus;

  constructor(options: VmsOptions, { clock, log, events }: { clock: Clock; log: Logger; events: EventBus }) {
    this.#options = { ...options, dir: privateDir(options.dir) };
    this.#with = { clock, log };
    this.#events = events;
  }

  get(name: string): VmEntry {
    const found = this.#entries.get(name);
    if (found === undefined) throw new GodwitError("VM_UNKNOWN", { vm: name, host: this.#options.host });
    return found;
  }

  find(name: string): VmEntry | null {
    return this.#entries.get(name) ?? null;
  }

  list(): readonly VmEntry[] {
    return [...this.#entries.values()];
  }

  dirOf(name: string): string {
    return join(this.#options.dir, name);
  }

  start(spec: VmSpec): Promise<VmEntry> {
    return this.#add(spec.name, false, (dir) => launchVm({ mode: "run", spec, dir, ...this.#qemu() }));
  }

  launchIncoming(spec: ResolvedSpec): Promise<VmEntry> {
    return this.#add(spec.name, true, (dir) => launchVm({ mode: "incoming", spec, dir, ...this.#qemu() }));
  }

  /** Errors: those of `adoptVm`, VM_EXISTS. */
  adopt(name: string, options: Omit<AdoptOptions, "dir" | "name">): Promise<VmEntry> {
    return this.#add(name, false, (dir) => adoptVm({ ...options, name, dir }));
  }

  /** What a running QEMU calls itself. Errors: QMP_UNREACHABLE, SPEC_INVALID when it has no name. */
  async nameOf(qmpPath: string): Promise<string> {
    const qmp = await connectQmp(qmpPath);
    try {
      const { name } = await qmp.execute("query-name");
      if (name !== undefined) return parseSpec({ name, memory: "4MiB" }).name;
      throw new GodwitError("SPEC_INVALID", { problem: "name: this QEMU has none; give one" });
    } finally {
      qmp.close();
    }
  }

  async confirm(vm: Vm): Promise<void> {
    this.get(vm.name).confirm();
    this.#events.emit("vm.arrived", { vm: vm.name });
  }

  async discard(vm: Vm): Promise<void> {
    const entry = this.#entries.get(vm.name);
    if (entry === undefined || entry !== vm) return; // it ended by itself, and is forgotten already
    entry.ending = true;
    await stopVm(entry.running);
    this.#forget(entry, "vm.stopped", {});
  }

  claim(name: string, purpose: string): () => void {
    const entry = this.get(name);
    if (entry.claimedBy !== null) throw new GodwitError("VM_BUSY", { vm: name, with: entry.claimedBy });
    entry.claimedBy = purpose;
    let released = false;
    return () => {
      if (!released) entry.claimedBy = null;
      released = true;
    };
  }

  /** Finds the VMs of an earlier agent again; folders of those that have ended are removed. */
  async reopen(): Promise<void> {
    for (const name of readdirSync(this.#options.dir)) {
      try {
        await this.takeOver(name);
      } catch (error) {
        // It lives and does not answer: its folder stays, so that its name is not given away.
        this.#with.log.error({ err: error, vm: name }, "VM not taken over");
      }
    }
  }

  async takeOver(name: string): Promise<VmEntry | null> {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const dir = this.dirOf(name);
    if (!existsSync(dir)) return null;
    const found = await reopenVm(dir);
    if (found !== null) return this.#watch(found, { incoming: found.incoming, past: true });
    this.#with.log.warn({ vm: name, qemuSays: logTail(vmPaths(dir).log) }, "VM has ended meanwhile");
    rmSync(dir, { recursive: true, force: true });
    return null;
  }

  async endIncoming(name: string): Promise<void> {
    const record = readRecord(this.dirOf(name));
    if (!record?.incoming || record.process === null) return;
    signal(record.process, "SIGKILL");
    await waitForExit(record.process, END_MS);
  }

  /** Lets go of all VMs; they go on. */
  release(): void {
    for (const entry of this.#entries.values()) {
      entry.ending = true;
      entry.release();
    }
    this.#entries.clear();
  }

  #qemu(): { qemu?: QemuCommand } {
    return this.#options.qemu === null ? {} : { qemu: this.#options.qemu };
  }

  async #add(name: string, incoming: boolean, make: (dir: string) => Promise<RunningVm>): Promise<VmEntry> {
    if (this.#entries.has(name) || this.#starting.has(name)) throw new GodwitError("VM_EXISTS", { vm: name });
    this.#starting.add(name);
    try {
      const running = await make(this.dirOf(name));
      const entry = await this.#watch(running, { incoming, past: false });
      this.#events.emit("vm.started", { vm: name, incoming, pid: entry.pid });
      return entry;
    } finally {
      this.#starting.delete(name);
    }
  }

  async #watch(running: RunningVm, options: { incoming: boolean; past: boolean }): Promise<VmEntry> {
    const entry = await VmEntry.open(running, { ...options, ...this.#with });
    this.#entries.set(entry.name, entry);
    void entry.monitor.closed.then((why) => this.#monitorClosed(entry, why));
    return entry;
  }

  async #monitorClosed(entry: VmEntry, why: GodwitError): Promise<void> {
    const { process } = entry.running;
    if (process !== null) await waitForExit(process, END_MS);
    if (entry.ending) return;
    const qemuSays = logTail(vmPaths(entry.dir).log);
    if (process === null || !isAlive(process)) return this.#forget(entry, "vm.ended", { qemuSays });
    // QEMU lives, only the connection broke: take it up again, as a new agent would.
    this.#with.log.warn({ vm: entry.name, why: why.message }, "monitor lost; opening it again");
    entry.serial?.close();
    this.#entries.delete(entry.name);
    try {
      const found = await reopenVm(entry.dir);
      if (found === null) return this.#forget(entry, "vm.ended", { qemuSays });
      const again = await this.#watch(found, { incoming: entry.incoming, past: true });
      again.claimedBy = entry.claimedBy;
    } catch (error) {
      this.#with.log.error({ err: error, vm: entry.name }, "VM not taken over");
      this.#events.emit("vm.lost", { vm: entry.name });
    }
  }

  #forget(entry: VmEntry, type: string, data: object): void {
    entry.ending = true;
    entry.release();
    if (this.#entries.get(entry.name) === entry) this.#entries.delete(entry.name);
    entry.removeFiles();
    this.#events.emit(type, { vm: entry.name, ...data });
    this.#with.log.info({ vm: entry.name, ...data }, type);
  }
}
