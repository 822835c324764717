/** The VMs of one host: what survives its agent, and the registry that an agent has of them. */
import type { Vm, VmRegistry } from "../../src/agent/context.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import type { ResolvedSpec } from "../../src/qemu/mod.ts";
import { here } from "../engine/active.ts";
import { openMonitor } from "../qemu/monitor.ts";
import type { Qemu } from "../qemu/qemu.ts";

/** What lies in the VM's folder. */
export interface VmRecord {
  readonly qemu: Qemu;
  readonly spec: ResolvedSpec;
  incoming: boolean;
}

export interface VmStore {
  readonly host: string;
  readonly records: Map<string, VmRecord>;
  launch(spec: ResolvedSpec): Qemu;
}

/** From the order to start a QEMU until it answers. */
const LAUNCH_MS = { min: 20, max: 150 };
const CONFIRM_MS = 3;

export class SimVms implements VmRegistry {
  readonly #store: VmStore;
  readonly #vms = new Map<string, Vm>();
  readonly #claims = new Map<string, string>();

  constructor(store: VmStore) {
    this.#store = store;
    for (const [name, record] of store.records)
      if (record.qemu.hangs) continue;
      else if (record.qemu.process.alive) this.#vms.set(name, this.#open(name, record));
      else store.records.delete(name);
  }

  #open(name: string, record: VmRecord): Vm {
    const { qemu } = record;
    const vm = {
      ...{ name, spec: record.spec, monitor: openMonitor(qemu), serial: null, dir: this.dirOf(name) },
      ...{ pid: qemu.pid, qemuVersion: qemu.version },
      get incoming() {
        return record.incoming;
      },
    };
    const forget = () => {
      if (this.#vms.get(name) !== vm) return;
      this.#vms.delete(name);
      if (this.#store.records.get(name) === record) this.#store.records.delete(name);
    };
    // What has died by itself is no VM of this host any more.
    void vm.monitor.closed.then(forget);
    return vm;
  }

  get(name: string): Vm {
    const vm = this.find(name);
    if (vm === null) throw new GodwitError("VM_UNKNOWN", { vm: name } as never);
    return vm;
  }

  find(name: string): Vm | null {
    return this.#vms.get(name) ?? null;
  }

  list(): readonly Vm[] {
    return [...this.#vms.values()];
  }

  dirOf(name: string): string {
    return `/run/${this.#store.host}/${name}`;
  }

  start(): Promise<Vm> {
    throw new Error("no VM is started in a world");
  }

  async launchIncoming(spec: ResolvedSpec): Promise<Vm> {
    const { random } = here().network;
    await sleep(random.int(LAUNCH_MS.min, LAUNCH_MS.max));
    const record = { qemu: this.#store.launch(spec), spec, incoming: true };
    this.#store.records.set(spec.name, record);
    const vm = this.#open(spec.name, record);
    this.#vms.set(spec.name, vm);
    return vm;
  }

  async confirm(vm: Vm): Promise<void> {
    await sleep(CONFIRM_MS * here().network.random.float());
    const record = this.#store.records.get(vm.name);
    if (record !== undefined) record.incoming = false;
  }

  async discard(vm: Vm): Promise<void> {
    const record = this.#store.records.get(vm.name);
    if (record?.qemu.pid === vm.pid) {
      await sleep(2 * here().network.random.float());
      record.qemu.process.die();
      this.#store.records.delete(vm.name);
    }
    if (this.#vms.get(vm.name) === vm) this.#vms.delete(vm.name);
  }

  async takeOver(name: string): Promise<Vm | null> {
    const record = this.#store.records.get(name);
    if (record === undefined || !record.qemu.process.alive) return null;
    const known = this.find(name);
    // A monitor is opened with the main loop's help.
    if (known === null && record.qemu.hangs) {
      await sleep(10_000);
      throw new GodwitError("QMP_TIMEOUT", { command: "connect", timeoutMs: 10_000 });
    }
    const vm = known ?? this.#open(name, record);
    this.#vms.set(name, vm);
    return vm;
  }

  async endIncoming(name: string): Promise<void> {
    const record = this.#store.records.get(name);
    if (record?.incoming) record.qemu.process.die();
  }

  claim(name: string, purpose: string): () => void {
    this.get(name);
    const owner = this.#claims.get(name);
    if (owner !== undefined) throw new GodwitError("VM_BUSY", { vm: name, owner } as never);
    this.#claims.set(name, purpose);
    let held = true;
    return () => {
      if (held) this.#claims.delete(name);
      held = false;
    };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
