/** Two hosts with agents, a guest, an operator, and the rules that hold at every moment. */
import type { Departures } from "../src/agent/migrate/departures.ts";
import type { TargetRecord } from "../src/agent/migrate/records.ts";
import { isGodwitError } from "../src/errors/mod.ts";
import { SOURCE_MAY_RUN, type SourcePhase, TARGET_MAY_RUN } from "../src/migration/mod.ts";
import type { ResolvedSpec } from "../src/qemu/mod.ts";
import type { RelayEvent, RelayOptions } from "../src/relay/mod.ts";
import type { RamBlock } from "../src/stream/mod.ts";
import type { Memories, Processes } from "./engine/active.ts";
import { Network, nameHost } from "./engine/network.ts";
import { OUTSIDE, type Simulation } from "./engine/simulation.ts";
import type { Plan } from "./faults/plan.ts";
import { type AgentWatch, SimAgent } from "./host/agent.ts";
import { Disk } from "./host/history.ts";
import { Peers } from "./host/peers.ts";
import type { RelayChild } from "./host/relayChild.ts";
import type { VmRecord, VmStore } from "./host/vms.ts";
import type { Machine, QemuWorld } from "./qemu/machine.ts";
import { Memory, samePage } from "./qemu/memory.ts";
import { Qemu } from "./qemu/qemu.ts";

export type HostName = "a" | "b";
const IPS = { a: "10.0.0.1", b: "10.0.0.2" } as const;
const PORT = 7600;
export const GUEST = "guest";

/** One machine: what is on it, and who works there. */
export interface Host {
  readonly name: HostName;
  readonly disk: Disk;
  readonly store: VmStore;
  agent: SimAgent | undefined;
  /** Relays that have not ended, newest last. */
  readonly relays: Set<RelayChild>;
}

export class World implements QemuWorld, AgentWatch, Memories, Processes {
  readonly simulation: Simulation;
  readonly plan: Plan;
  readonly network: Network;
  readonly peers: Peers;
  readonly hosts: { readonly a: Host; readonly b: Host };
  readonly qemus: Qemu[] = [];
  truth: readonly Uint8Array[] = [];
  /** Whose guest ran last. */
  owner: Machine | undefined;
  /** Moments that have come, and who waits for one. */
  readonly #moments = new Map<string, (() => void)[]>();
  readonly #children = new Map<number, RelayChild>();
  readonly seen = new Set<string>();
  /** Of the move under way, as its agent said last. */
  sourcePhase: SourcePhase | undefined;
  moveId: string | undefined;
  /** Why the last order was refused. */
  orderError: string | undefined;

  constructor(simulation: Simulation, plan: Plan) {
    this.simulation = simulation;
    this.plan = plan;
    this.network = new Network(simulation, plan.roads);
    this.peers = new Peers(this.network, (address) => this.#agentAt(address));
    nameHost(IPS.a, "a");
    nameHost(IPS.b, "b");
    this.hosts = { a: this.#host("a"), b: this.#host("b") };
  }

  /** Inside the world: the guest, and both agents. */
  begin(): void {
    const { a } = this.hosts;
    const qemu = this.#qemu("a", false);
    qemu.fill();
    const pages = this.plan.blocks[0]!;
    const spec = {
      name: GUEST,
      memory: `${4 * pages}KiB`,
      accel: "kvm",
      cpu: "max",
      heartbeat: false,
    } as ResolvedSpec;
    a.store.records.set(GUEST, { qemu, spec, incoming: false });
    qemu.run();
    this.startAgent("a");
    this.startAgent("b");
  }

  #host(name: HostName): Host {
    const records = new Map<string, VmRecord>();
    const launch = (): Qemu => this.#qemu(name, true);
    const disk = new Disk(() => this.simulation.nowMs);
    return { name, disk, store: { host: name, records, launch }, agent: undefined, relays: new Set() };
  }

  #qemu(host: HostName, incoming: boolean): Qemu {
    const { simulation, plan } = this;
    const blocks: RamBlock[] = plan.blocks.map((pages, index) => ({
      ...{ index, name: index === 0 ? "pc.ram" : `block${index}`, bytes: pages * 4096 },
    }));
    const qemu = new Qemu({
      ...{ simulation, host, name: GUEST, memory: new Memory(blocks), incoming },
      version: host === "a" ? plan.versions.source : plan.versions.target,
      writesPerMs: plan.writesPerMs,
      world: this,
    });
    this.qemus.push(qemu);
    return qemu;
  }

  startAgent(name: HostName): void {
    const host = this.hosts[name];
    const { simulation } = this;
    const skewMs = name === "b" ? this.plan.skewMs : 0;
    host.agent = new SimAgent({
      ...{ simulation, host: name, ip: IPS[name], port: PORT, skewMs },
      ...{ store: host.store, disk: host.disk, watch: this },
    });
  }

  #agentAt(address: string): SimAgent | undefined {
    const host = address.startsWith(IPS.a) ? this.hosts.a : this.hosts.b;
    return host.agent?.process.alive ? host.agent : undefined;
  }

  // The operator

  get departures(): Departures | undefined {
    const { agent } = this.hosts.a;
    return agent?.process.alive && agent.ready ? agent.departures : undefined;
  }

  /** Orders a move of the guest; what becomes of that is in `moveId` or `orderError`. */
  order(): void {
    const { agent } = this.hosts.a;
    // Nobody there to hear it: the operator tries again.
    if (agent === undefined || this.departures === undefined)
      return void this.simulation.schedule(100, () => this.order(), OUTSIDE);
    this.orderError = undefined;
    const before = this.moveId;
    const again = (): void => {
      if (this.moveId !== before || this.orderError !== undefined) return;
      if (agent.process.alive) return void this.simulation.schedule(100, again, OUTSIDE);
      // It died over the order: the operator looks whether it was taken.
      const [record] = this.hosts.a.disk.list<{ id: string }>("state");
      if (record === undefined) this.order();
      else this.moveId = record.id;
    };
    this.simulation.schedule(100, again, OUTSIDE);
    this.simulation.schedule(
      0,
      () => {
        const order = { ...DEFAULTS, ...this.plan.order, vm: GUEST, to: `${IPS.b}:${PORT}` };
        agent.departures.begin(order as never).then(
          (id) => {
            this.moveId = id;
          },
          (error: unknown) => {
            if (!isGodwitError(error)) return this.simulation.caught(error);
            this.orderError = error.code;
          },
        );
      },
      agent.process,
    );
  }

  /** As the API would; refusals are answers, not faults. */
  tellAgent(order: "cancel" | "postcopy"): void {
    const { departures, moveId } = this;
    const { agent } = this.hosts.a;
    if (departures === undefined || moveId === undefined || agent === undefined) return;
    this.simulation.as(agent.process, () => {
      try {
        if (order === "cancel") departures.cancel(moveId);
        else departures.startPostcopy(moveId);
      } catch (error) {
        if (!isGodwitError(error)) throw error;
      }
    });
  }

  // Moments

  whenever(moment: string, act: () => void): void {
    const waiting = this.#moments.get(moment) ?? [];
    waiting.push(act);
    this.#moments.set(moment, waiting);
  }

  #moment(name: string): void {
    this.seen.add(name);
    const waiting = this.#moments.get(name);
    if (waiting === undefined) return;
    this.#moments.delete(name);
    for (const act of waiting) act();
  }

  phase(side: "source" | "target", _id: string, phase: string): void {
    if (side === "source") this.sourcePhase = phase as SourcePhase;
    this.#moment(`${side}:${phase}`);
  }

  forked(child: RelayChild): void {
    this.#children.set(child.pid, child);
  }

  killed(child: RelayChild): void {
    this.seen.add(`killed relay of ${child.process.host}`);
  }

  started(_side: RelayOptions["side"], child: RelayChild): void {
    const host = child.process.host === "a" ? this.hosts.a : this.hosts.b;
    host.relays.add(child);
    child.process.onDeath(() => host.relays.delete(child));
  }

  told(side: RelayOptions["side"], event: RelayEvent): void {
    if (event.event === "verdict" && !event.equal)
      this.fail("digest_differs", `at the barrier ${event.barrier}, and nothing in this world changes bytes`);
    const code = event.event === "ended" ? (event.error?.code ?? "") : "";
    if (OUR_FAULT.has(code)) this.fail("protocol", `relay ${side}: ${JSON.stringify(event)}`);
    if (event.event !== "progress") this.#moment(`relay.${side}:${event.event}`);
  }

  isAlive(pid: number): boolean {
    const qemu = this.qemus.find((each) => each.pid === pid);
    return (this.#children.get(pid) ?? qemu)?.process.alive ?? false;
  }

  signal(pid: number, name: string): void {
    this.#children.get(pid)?.kill(name);
  }

  // The rules

  fail(rule: string, detail: string): void {
    this.simulation.fail(rule, detail);
  }

  guestRuns(qemu: Machine): void {
    const two = this.qemus.find((other) => other !== qemu && other.running);
    if (two !== undefined) return this.fail("two_run", "both hosts run the guest");
    const { owner } = this;
    this.owner = qemu;
    if (owner === undefined || owner === qemu) return;
    if (qemu.process.host === "a")
      return this.fail("ran_back", "the source's guest runs again although the target's has run");
    if (!this.#recordedAsOwner())
      this.fail("unrecorded_owner", "the target's guest runs, and its record does not say so");
    const { missing } = qemu;
    for (const [page, content] of qemu.memory.pages.entries()) {
      if (missing.has(page) || samePage(content, this.truth[page]!)) continue;
      return this.fail("memory_differs", `page ${page} is not what the source had when it stopped`);
    }
  }

  #recordedAsOwner(): boolean {
    const records = this.hosts.b.disk.list<TargetRecord>("state");
    return records.some(({ state }) => TARGET_MAY_RUN.has(state.phase));
  }

  guestStops(qemu: Machine): void {
    this.truth = qemu.memory.snapshot();
  }

  read(pid: number, block: string, offset: number, into: Uint8Array): boolean {
    const qemu = this.qemus.find((each) => each.pid === pid);
    if (qemu === undefined || !qemu.process.alive) return false;
    if (qemu.running) this.fail("read_while_running", "memory is read while the guest writes it");
    into.set(qemu.memory.pages[qemu.memory.number(block, offset)]!);
    return true;
  }

  /** After each event. */
  check(): void {
    const { sourcePhase } = this;
    const [source] = this.qemus;
    if (source?.running && sourcePhase !== undefined && this.hosts.a.agent?.process.alive && this.departures)
      if (!SOURCE_MAY_RUN.has(sourcePhase) && this.#underWay)
        this.fail("source_runs", `the source's guest runs in the phase ${sourcePhase}`);
  }

  /** The agent that knows the phase is the one that conducts the move. */
  get #underWay(): boolean {
    return this.departures?.list().some(({ id }) => id === this.moveId) ?? false;
  }
}

/** What a relay can only say when one of ours has done wrong: nobody else speaks here. */
const OUR_FAULT: ReadonlySet<string> = new Set([
  ...["LINK_FRAME", "STREAM_INVALID", "STREAM_NOT_QEMU", "DIGEST_MISMATCH", "BASE_LOST", "POSTCOPY_ACCOUNT"],
]);

/** What the API's schema gives to an order that says nothing. */
const DEFAULTS = {
  downtimeLimitMaxMs: 0,
  bandwidthBytesPerSec: 0,
  bandwidthMinBytesPerSec: 0,
  balloon: false,
};
