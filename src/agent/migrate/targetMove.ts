import { join } from "node:path";
import type { Logger } from "pino";
import { GodwitError, isGodwitError } from "../../errors/mod.ts";
import {
  type TargetEffect,
  type TargetEvent,
  type TargetPhase,
  type TargetState,
  targetSettled,
  targetStart,
  targetStep,
} from "../../migration/mod.ts";
import type { RamSection, RelayEvent, TargetRelayOptions } from "../../relay/mod.ts";
import { giveBack, setBalloonMode } from "../balloon/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import { splitAddress } from "./address.ts";
import { DECIDED } from "./arbiter.ts";
import { EffectRunner } from "./effects.ts";
import type { Prepared, PrepareOrder, Recovered, TargetFacts } from "./peerSchemas.ts";
import type { TargetRecord } from "./records.ts";
import { listenAgain } from "./recoveryTarget.ts";
import { RelayProcess } from "./relayProcess.ts";
import { relayTrust } from "./relayTrust.ts";
import { configureTarget } from "./settings.ts";
import { notWritten, targetEventOf, wireError } from "./translate.ts";

/** How long the source may take from our answer until its relay connects. */
const CONNECT_MS = 60_000;
/** How long a lost link is tried again before the move is given up. */
export const RECONNECT_MS = 30_000;
/** How long a relay may take from its start until it listens. */
const LISTEN_MS = 10_000;
/** How long an ending agent waits for a move to be undone or to end. */
const STOP_MS = 5_000;
const POLL_MS = 50;
/** How long a relay may outlive its move. */
const LEFTOVER_MS = 15_000;

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
  #relay: RelayProcess | null = null;
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

  constructor(context: AgentContext, order: PrepareOrder) {
    this.#context = context;
    this.#order = order;
    this.#log = context.log.child({ migration: order.id, vm: order.spec.name });
    this.#sinceMonoMs = context.clock.monoMs();
    this.#balloonBytes = order.balloon.sizeBytes;
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
  async decide(event: TargetEvent, waitMs: number): Promise<TargetPhase> {
    this.dispatch(event);
    await Promise.race([this.#until((phase) => DECIDED.has(phase)), later(waitMs)]);
    return this.phase;
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
    const patient = () =>
      this.phase === "postcopy" || this.phase === "interrupted" || clock.monoMs() < untilMs;
    while (!targetSettled(this.phase) && patient()) await later(POLL_MS);
    clearTimeout(this.#timer);
    await this.#relay?.stop(error);
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
      // On the disk before any effect: what this record says decides who owns the guest.
      if (RECORDED.has(after.phase) && !this.#record()) return;
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
    this.#vm = vm;
    if (this.#order.balloon.auto) setBalloonMode(vm, "auto");
    this.#release = vms.claim(vm.name, `migration ${this.#order.id}`);
    void vm.monitor.closed.then((why) => {
      const error = new GodwitError("TARGET_QEMU_GONE", { phase: this.phase }, { cause: why });
      this.dispatch({ type: "targetGone", error: error.toJSON() });
    });
    this.#offEvents = vm.monitor.onEvent(({ event, timestampMs }) => {
      if (event !== "RESUME") return;
      this.#resumedAtMs ??= timestampMs;
      this.dispatch({ type: "guestRuns" });
    });
    if (this.phase !== "preparing") return; // told to discard meanwhile
    await configureTarget(vm.monitor, { postcopy });
    await vm.monitor.execute("migrate-incoming", { uri: `unix:${forward}` });
    this.#qemuListens = true;
    this.#startedWhenBoth();
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
    const nothing = () => ({ phase: this.phase, relayAddress: null });
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
    const until = this.#context.clock.monoMs() + LISTEN_MS;
    while (this.#relayAddress === "" && this.#context.clock.monoMs() < until) await later(POLL_MS);
    if (this.#relayAddress === "")
      throw new GodwitError("RELAY_ENDED", { side: "target", reason: "it did not listen" });
    return { phase: this.phase, relayAddress: this.#relayAddress };
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
      () => this.#log.debug("QEMU took cont"),
      async (error: unknown) => {
        if (!isGodwitError(error)) throw error;
        if (error.code === "QMP_CLOSED") return; // targetGone says it
        const { running } = await monitor.execute("query-status");
        this.dispatch(running ? { type: "guestRuns" } : { type: "contRefused", error: error.toJSON() });
      },
    );
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
    const { id, spec } = this.#order;
    const [state, balloonBytes] = [this.#state, this.#balloonBytes];
    const record: TargetRecord = { side: "target", id, vm: spec.name, balloonBytes, state };
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

/** Phases whose loss would be a lie after a restart; an older record only makes the move be undone. */
const RECORDED: ReadonlySet<TargetPhase> = new Set(["committed", "postcopy", "running", "discarded", "lost"]);

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
