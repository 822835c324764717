import { join } from "node:path";
import type { Logger } from "pino";
import { GodwitError, isGodwitError, type WireError } from "../../errors/mod.ts";
import {
  TARGET_RECORDED,
  type TargetEffect,
  type TargetEvent,
  type TargetPhase,
  type TargetState,
  targetSettled,
  targetStart,
  targetStep,
} from "../../migration/mod.ts";
import { type Monitor, memoryBytesOf } from "../../qemu/mod.ts";
import type { RamSection, RelayEvent, TargetRelayOptions } from "../../relay/mod.ts";
import { giveBack, setBalloonMode } from "../balloon/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import { splitAddress } from "./address.ts";
import { DECIDED } from "./arbiter.ts";
import type { Carrier } from "./carrier.ts";
import { EffectRunner } from "./effects.ts";
import { OrphanRelay } from "./orphanRelay.ts";
import type { Prepared, PrepareOrder, Recovered, TargetFacts } from "./peerSchemas.ts";
import type { TargetRecord } from "./records.ts";
import { listenAgain, lookAtMigration } from "./recoveryTarget.ts";
import { RelayProcess } from "./relayProcess.ts";
import { relayTrust } from "./relayTrust.ts";
import { configureTarget } from "./settings.ts";
import { notWritten, targetEventOf, wireError } from "./translate.ts";

/** How long the source may take from our answer until its relay connects. */
const CONNECT_MS = 60_000;
/** How long a lost link is tried again before the move is given up: half a minute of a dead network is survived, with room. */
export const RECONNECT_MS = 60_000;
/** How long a relay may take from its start until it listens. */
const LISTEN_MS = 30_000;
/** How long an ending agent waits for a move to be undone or to end. */
const STOP_MS = 5_000;
const POLL_MS = 50;
/** What a guest announces beside its memory: firmware, option ROMs, memory of devices. */
const OTHER_RAM_BYTES = 256 * 2 ** 20;
/** How often QEMU is asked what a relay brings that tells nothing itself. */
const LOOK_MS = 250;
/** How long a relay may outlive its move. */
const LEFTOVER_MS = 15_000;

/** The move of an agent before us, as it had recorded it, and its VM; null: its QEMU has ended. */
export interface LeftArrival {
  readonly record: TargetRecord;
  readonly vm: Vm | null;
}

/** Carries out the target's half of one migration. */
export class TargetMove {
  readonly #context: AgentContext;
  readonly #order: PrepareOrder;
  readonly #log: Logger;
  readonly #runner: EffectRunner<TargetEffect>;
  readonly #waiting = new Set<() => void>();
  readonly #sinceMonoMs: number;
  #state: TargetState = targetStart();
  #vm: Vm | null = null;
  #balloonBytes: number | null;
  #relay: Carrier | null = null;
  #relayAddress = "";
  /** The memory section as the stream announced it. */
  #section: RamSection | null = null;
  #recovery: Promise<Recovered> | null = null;
  #recoveries = 0;
  #qemuListens = false;
  #resumedAtMs: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  #release: (() => void) | null = null;
  #offEvents: (() => void) | null = null;
  #since: string;
  /** The agent ends. */
  #ended = false;

  /** @param left  to be taken up by `resume`; else `prepare` begins a new move */
  constructor(context: AgentContext, order: PrepareOrder, left?: LeftArrival) {
    this.#context = context;
    this.#order = order;
    this.#log = context.log.child({ migration: order.id, vm: order.spec.name });
    this.#sinceMonoMs = context.clock.monoMs();
    this.#balloonBytes = left === undefined ? order.balloon.sizeBytes : (left.record.balloonBytes ?? null);
    this.#since = left?.record.since ?? new Date(context.clock.wallMs()).toISOString();
    if (left !== undefined) {
      this.#state = left.record.state;
      this.#section = left.record.section;
    }
    this.#runner = new EffectRunner<TargetEffect>({
      run: (effect) => this.#run(effect),
      failing: () => this.#state.error,
      failed: (effect, error) => this.#failed(effect, error),
    });
  }

  /** The host that ordered it, by its certificate; null: not known, without TLS. */
  get by(): string | null {
    return this.#order.by ?? null;
  }

  get phase(): TargetPhase {
    return this.#state.phase;
  }

  /** Since when it is in its phase, ISO 8601 in UTC. */
  get since(): string {
    return this.#since;
  }

  get error(): WireError | null {
    return this.#state.error;
  }

  get sourceHost(): string {
    return this.#order.sourceHost;
  }

  /** null: it was not started yet, or its QEMU had ended before this agent began. */
  get vm(): Vm | null {
    return this.#vm;
  }

  /**
   * Takes up the move of the agent before us.
   * @param qemu  what is to be seen of its QEMU
   */
  resume({ record, vm }: LeftArrival, qemu: "gone" | "completed" | "other"): void {
    const orphan = record.relay === null ? null : new OrphanRelay(record.relay);
    this.#relay = orphan;
    if (vm !== null) this.#watch(vm);
    const { host } = this.#context;
    const error = new GodwitError("AGENT_RESTARTED", { host, phase: this.phase }).toJSON();
    this.dispatch({ type: "restarted", error, qemu, carrying: orphan?.alive ?? false });
    if (orphan !== null && vm !== null) void this.#follow(orphan, vm);
  }

  /** Starts QEMU and relay. Errors: whatever made that fail; nothing is left then. */
  async prepare(): Promise<Prepared> {
    this.#record();
    this.#runner.add(["start"]);
    await this.#until((phase) => phase !== "preparing");
    if (this.phase === "ready" && this.#vm) {
      this.#timer = setTimeout(() => this.dispatch({ type: "timeout" }), CONNECT_MS);
      return {
        host: this.#context.host,
        qemuVersion: this.#vm.qemuVersion,
        relayAddress: this.#relayAddress,
      };
    }
    await this.#until((phase) => phase === "discarded");
    throw GodwitError.fromWire(this.#state.error ?? new GodwitError("TARGET_DISCARDED", {}).toJSON());
  }

  /** Gives the event in, and waits (bounded) until the arbiter's word is final. */
  async decide(event: TargetEvent, waitMs: number): Promise<void> {
    this.dispatch(event);
    await Promise.race([this.#until((phase) => DECIDED.has(phase)), later(waitMs)]);
  }

  facts(): TargetFacts {
    const serial = this.#order.spec.heartbeat ? this.#vm?.serial : null;
    const figures = this.#relay?.figures;
    return {
      phase: this.phase,
      resumedAtMs: this.#resumedAtMs,
      beatsAtMs: serial ? serial.beatsSince(this.#sinceMonoMs).map(({ wallMs }) => wallMs) : null,
      cpuMs: figures?.cpuMs.target ?? null,
      rssBytes: figures?.rssBytes.target ?? null,
    };
  }

  /** The agent ends: an unfinished move is discarded, a decided one left as it is; post-copy is waited for. */
  async stop(): Promise<void> {
    const { clock, host } = this.#context;
    const error = new GodwitError("AGENT_RESTARTED", { host, phase: this.phase }).toJSON();
    if (["preparing", "ready", "loading"].includes(this.phase)) this.dispatch({ type: "discard", error });
    const untilMs = clock.monoMs() + STOP_MS;
    // Our own relay would end with us. One that is not ours carries on, and what is interrupted waits for the next agent.
    const ours = !(this.#relay instanceof OrphanRelay);
    const patient = () => (ours && this.phase === "postcopy") || clock.monoMs() < untilMs;
    const leaves = () => this.phase === "interrupted" || (!ours && this.phase === "postcopy");
    while (!targetSettled(this.phase) && !leaves() && patient()) await later(POLL_MS);
    this.#ended = true;
    clearTimeout(this.#timer);
    if (this.#relay instanceof OrphanRelay) this.#relay.letGo();
    else await this.#relay?.stop(error);
    this.#offEvents?.();
  }

  dispatch(event: TargetEvent): void {
    const before = this.#state;
    const [after, effects] = targetStep(before, event);
    this.#state = after;
    if (after.phase !== before.phase) {
      this.#log.info(
        { from: before.phase, to: after.phase, by: event.type, error: after.error },
        "target's phase",
      );
      this.#since = new Date(this.#context.clock.wallMs()).toISOString();
      // On the disk before any effect: what this record says decides who owns the guest.
      if (TARGET_RECORDED.has(after.phase) && !this.#record()) return;
      if (after.phase !== "ready") clearTimeout(this.#timer);
    }
    this.#runner.add(effects);
    if (after.phase !== before.phase) {
      for (const check of [...this.#waiting]) check();
      if (targetSettled(after.phase)) this.#settle();
    }
  }

  async #run(effect: TargetEffect): Promise<void> {
    switch (effect) {
      case "start":
        return this.#start();
      case "contTarget":
        return this.#cont();
      case "endTarget":
        return this.#end();
      case "registerVm":
        if (this.#vm) await this.#context.vms.confirm(this.#vm);
        return;
    }
  }

  #failed(effect: TargetEffect, error: unknown): void {
    this.#log.error({ err: error, effect }, "could not be carried out");
    this.dispatch({ type: "failed", error: wireError(error) });
  }

  async #start(): Promise<void> {
    const { spec, ticket, postcopy, pageCacheBytes } = this.#order;
    const { vms } = this.#context;
    const forward = join(vms.dirOf(spec.name), "incoming.sock");
    // Beside QEMU's start: it does not look for QEMU before the source connects, which nobody has told where to.
    await this.#startRelay({ forward, pageCacheBytes, ticket });
    const vm = await vms.launchIncoming(spec);
    this.#watch(vm);
    if (this.phase !== "preparing") return; // told to discard meanwhile
    await configureTarget(vm.monitor, { postcopy });
    await vm.monitor.execute("migrate-incoming", { uri: `unix:${forward}` });
    this.#qemuListens = true;
    this.#startedWhenBoth();
  }

  #watch(vm: Vm): void {
    this.#vm = vm;
    if (this.#order.balloon.auto) setBalloonMode(vm, "auto");
    this.#release = this.#context.vms.claim(vm.name, `migration ${this.#order.id}`);
    void vm.monitor.closed.then((why) => {
      if (this.#ended) return;
      const error = new GodwitError("TARGET_QEMU_GONE", { phase: this.phase }, { cause: why });
      this.dispatch({ type: "targetGone", error: error.toJSON() });
    });
    this.#offEvents = vm.monitor.onEvent(({ event, timestampMs }) => {
      if (event !== "RESUME") return;
      this.#resumedAtMs ??= timestampMs;
      this.dispatch({ type: "guestRuns" });
    });
  }

  /** What a relay of our own would tell, QEMU tells of one that hears nobody: whether it has every page. */
  async #follow(orphan: OrphanRelay, { monitor }: Vm): Promise<void> {
    while (!this.#ended && this.#relay === orphan && !targetSettled(this.phase)) {
      const { alive } = orphan; // before QEMU is asked: what it brought last is seen
      const status = await lookAtMigration(monitor);
      if (this.#relay !== orphan) return;
      if (status === "completed") return this.dispatch({ type: "targetLoaded" });
      if (!alive || status === "postcopy-paused") {
        const error = new GodwitError("RELAY_ENDED", { side: "target", reason: "it outlived its agent" });
        return this.dispatch({ type: "relayEnded", error: error.toJSON() });
      }
      await later(LOOK_MS);
    }
  }

  /** Of an older one nothing is heard any more. */
  async #startRelay(
    how: Pick<TargetRelayOptions, "forward" | "pageCacheBytes" | "ticket" | "resume">,
  ): Promise<void> {
    const { relays, relayPorts, peerAddress, ticketMs } = this.#context;
    const relay: RelayProcess = new RelayProcess(
      relays.take(),
      "target",
      (event) => {
        if (relay === this.#relay) this.#onRelay(event);
      },
      this.#log,
    );
    this.#relay = relay;
    this.#relayAddress = "";
    const { host } = splitAddress(peerAddress ?? "127.0.0.1:0");
    const { port, release } = await relayPorts.take(host);
    void relay.gone.then(release);
    const { postcopyReconnectForMs } = this.#order;
    relay.start({
      ...{ side: "target", listen: `${host}:${port}`, ticketOnceWithinMs: ticketMs },
      ...relayTrust(this.#context, this.by),
      ...{ reconnectForMs: RECONNECT_MS, postcopyReconnectForMs, ...how },
      limits: { ramBytesMax: memoryBytesOf(this.#order.spec) + OTHER_RAM_BYTES },
    });
  }

  /**
   * Post-copy was interrupted: ends what is left of the old way, has QEMU listen anew, and starts a relay for it. One at a
   * time; a call while one is under way joins it. Errors: those of QEMU and of starting a relay.
   */
  recover(ticket: string): Promise<Recovered> {
    this.#recovery ??= this.#recover(ticket).finally(() => {
      this.#recovery = null;
    });
    return this.#recovery;
  }

  async #recover(ticket: string): Promise<Recovered> {
    this.dispatch({ type: "recover" });
    const nothing = () => ({ phase: this.phase, error: this.error, relayAddress: null });
    const resume = this.#section;
    if (this.phase !== "interrupted" || this.#vm === null || resume === null) return nothing();
    const old = this.#relay;
    this.#relay = null;
    await old?.stop(
      new GodwitError("RELAY_ENDED", { side: "target", reason: "post-copy is recovered" }).toJSON(),
    );
    const forward = join(this.#context.vms.dirOf(this.#vm.name), `recover-${++this.#recoveries}.sock`);
    if ((await listenAgain(this.#vm.monitor, forward)) === "completed") {
      this.dispatch({ type: "targetLoaded" });
      return nothing();
    }
    await this.#startRelay({ forward, pageCacheBytes: 0, ticket, resume });
    this.#record(); // it may carry on alone
    const until = this.#context.clock.monoMs() + LISTEN_MS;
    while (this.#relayAddress === "" && this.#context.clock.monoMs() < until) await later(POLL_MS);
    if (this.#relayAddress === "")
      throw new GodwitError("RELAY_ENDED", { side: "target", reason: "it did not listen" });
    return { phase: this.phase, error: null, relayAddress: this.#relayAddress };
  }

  #onRelay(event: RelayEvent): void {
    if (event.event === "ram") this.#section = event.section;
    if (event.event === "refused") this.#context.onRefused(event.refused);
    if (event.event === "listening") {
      this.#relayAddress = event.address;
      if (this.phase === "preparing") this.#startedWhenBoth();
      return;
    }
    const told = targetEventOf(event);
    if (told) this.dispatch(told);
  }

  #startedWhenBoth(): void {
    if (this.#qemuListens && this.#relayAddress !== "") this.dispatch({ type: "started" });
  }

  /**
   * The guest runs when QEMU says RESUME. Its answer to `cont` is not waited for: in post-copy its main thread may be
   * blocked on a page that has yet to come, and while the state is still loading `cont` only says "start when loaded".
   */
  async #cont(): Promise<void> {
    const monitor = this.#vm?.monitor;
    if (!monitor) return;
    void monitor.execute("cont", {}, { timeoutMs: 0 }).then(
      () => {
        this.#log.debug("QEMU took cont");
        return this.#lookWhetherItRuns(monitor);
      },
      async (error: unknown) => {
        if (!isGodwitError(error)) throw error;
        if (error.code === "QMP_CLOSED") return; // targetGone says it
        const { running } = await monitor.execute("query-status");
        this.dispatch(running ? { type: "guestRuns" } : { type: "contRefused", error: error.toJSON() });
      },
    );
  }

  /** A guest that the agent before us had started says nothing more. */
  async #lookWhetherItRuns(monitor: Monitor): Promise<void> {
    try {
      if ((await monitor.execute("query-status")).running) this.dispatch({ type: "guestRuns" });
    } catch (error) {
      if (!isGodwitError(error)) throw error; // else targetGone says it, or RESUME did
    }
  }

  async #end(): Promise<void> {
    const error = this.#state.error ?? new GodwitError("TARGET_DISCARDED", {}).toJSON();
    await this.#relay?.stop(error);
    this.#release?.();
    if (this.#vm) await this.#context.vms.discard(this.#vm);
    this.dispatch({ type: "ended" });
  }

  #settle(): void {
    this.#release?.();
    this.#offEvents?.();
    if (this.phase === "running") void this.#giveBack();
    // Done or lost, the relay ends by itself; nothing waits for it here.
    const error = new GodwitError("RELAY_ENDED", { side: "target", reason: "it was left over" }).toJSON();
    this.#timer = setTimeout(() => void this.#relay?.stop(error), LEFTOVER_MS).unref();
    this.#context.events.emit("migration.target", {
      id: this.#order.id,
      vm: this.#order.spec.name,
      phase: this.phase,
    });
  }

  /** What was taken from the guest for the move. Should we end before, the next agent does it. */
  async #giveBack(): Promise<void> {
    if (this.#balloonBytes === null || this.#vm === null) return;
    try {
      await giveBack(this.#vm, this.#balloonBytes);
      this.#balloonBytes = null;
      this.#record();
    } catch (error) {
      this.#log.error({ err: error, sizeBytes: this.#balloonBytes }, "the balloon could not be put back");
    }
  }

  /** Whether the step may go on: an owner that is not on the disk must not run. */
  #record(): boolean {
    const { ticket: _, ...order } = this.#order;
    const { id, spec } = order;
    const record: TargetRecord = {
      ...{ side: "target", id, vm: spec.name, order, since: this.#since },
      qemuPid: this.#vm?.pid ?? null,
      ...{ relay: this.#relay?.process ?? null, section: this.#section },
      ...{ balloonBytes: this.#balloonBytes, state: this.#state },
    };
    try {
      this.#context.history.put("state", id, spec.name, record);
    } catch (error) {
      this.#log.error({ err: error, phase: this.phase }, "the state could not be recorded");
      if (this.phase === "committed") {
        this.dispatch({ type: "contRefused", error: notWritten(error) });
        return false;
      }
    }
    return true;
  }

  #until(when: (phase: TargetPhase) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!when(this.phase)) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
