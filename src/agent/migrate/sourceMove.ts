import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { GodwitError, type WireError } from "../../errors/mod.ts";
import {
  canCancel,
  canPostcopy,
  mayUsePostcopy,
  type Report,
  refusesPostcopy,
  reportedError,
  SOURCE_UNRECORDED,
  type SourceEffect,
  type SourceEvent,
  type SourcePhase,
  type SourceState,
  sourceSettled,
  sourceStart,
  sourceStep,
  stopsFirst,
} from "../../migration/mod.ts";
import { memoryBytesOf } from "../../qemu/mod.ts";
import type { RamSection, RelayEvent, RelayFigures } from "../../relay/mod.ts";
import type { MigrationOrder, MigrationStatusBody } from "../api.ts";
import { DepartingBalloon, giveBack } from "../balloon/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import { splitAddress } from "./address.ts";
import { Arbiter } from "./arbiter.ts";
import type { Carrier } from "./carrier.ts";
import { clockOffsetMs } from "./clockOffset.ts";
import { EffectRunner } from "./effects.ts";
import { OrphanRelay } from "./orphanRelay.ts";
import { PeerClient } from "./peerClient.ts";
import type { Prepared } from "./peerSchemas.ts";
import { ProgressMeter } from "./progress.ts";
import { forget, type SourceRecord } from "./records.ts";
import { memoryOf, together } from "./recoverySource.ts";
import { RelayProcess, type RelaySide } from "./relayProcess.ts";
import { newTicket, relayTrust } from "./relayTrust.ts";
import { makeReport, type Watched } from "./reporting.ts";
import { resumeGuest } from "./resume.ts";
import { configureSource, pageCacheBytesOf, relaySettings } from "./settings.ts";
import type { Found, SourceMoveParts } from "./sourceMoveParts.ts";
import { SourceQemu } from "./sourceQemu.ts";
import { endOfPrecopy, Steering } from "./steering.ts";
import { RECONNECT_MS } from "./targetMove.ts";
import { notWritten, sourceEventOf, wireError } from "./translate.ts";

/** QEMU turns to post-copy within a PART section, 50 ms; should it not, its stream must flow again. */
const SLOW_MS_MAX = 300;
/** How often a target agent that did not answer is asked again. */
const ASK_LATER_MS = 2_000;
/** The same while the guest may stand still at the target. */
const ASK_SOON_MS = 500;
const PROGRESS_MS = 250;
/** How long an ending agent waits for a move to be undone or to end. */
const STOP_MS = 10_000;
const POLL_MS = 50;
/** What an ending agent waits for: our own relay would end with us, with what the guest lacks. */
const CARRIED: ReadonlySet<SourcePhase> = new Set(["handover", "postcopy"]);
const NO_WAY_BACK: ReadonlySet<SourcePhase> = new Set(["handover", "postcopy", "recovering"]);
/** The source relay says its last word soon after the target's. */
const LAST_WORD_MS = 5_000;
/** How long a relay that closed QEMU's connection may take to say why. */
const WHY_MS = 1_000;

/** Carries out the source's half of one migration. */
export class SourceMove {
  readonly id: string;
  readonly order: MigrationOrder;
  readonly #context: AgentContext;
  readonly #vm: Vm | null;
  readonly #left: SourceRecord | null;
  readonly #release: () => void;
  readonly #log: Logger;
  readonly #peer: PeerClient;
  readonly #arbiter: Arbiter;
  readonly #runner: EffectRunner<SourceEffect>;
  readonly #meter = new ProgressMeter();
  readonly #qemu: SourceQemu | null;
  readonly #steering: Steering;
  /** null: the agent before us saw to it. */
  readonly #balloon: DepartingBalloon | null;
  readonly #cancelled = new AbortController();
  readonly #ends = new AbortController();
  #ticket = newTicket();
  readonly #startedAtMs: number;
  readonly #startedAtMonoMs: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #state: SourceState;
  #prepared: Prepared | null = null;
  #offsetMs = 0;
  #relay: Carrier | null = null;
  #totalTimeMs: number | null = null;
  #report: Report | null = null;
  #told = false;
  #since: string;
  /** The agent ends. */
  #ended = false;
  #linkLostAt: string | null = null;
  /** The memory section as the stream announced it. */
  #section: RamSection | null = null;
  /** What relays before the present one measured. */
  #before: RelayFigures | null = null;

  constructor({ context, order, id, vm, release, left }: SourceMoveParts) {
    this.id = id;
    this.order = order;
    this.#context = context;
    this.#vm = vm;
    this.#left = left ?? null;
    this.#section = left?.section ?? null;
    this.#release = release;
    this.#log = context.log.child({ migration: id, vm: order.vm });
    this.#peer = new PeerClient(order.to, context.tls);
    const nowMs = context.clock.wallMs();
    this.#startedAtMs = left === undefined ? nowMs : Date.parse(left.startedAt);
    this.#startedAtMonoMs = context.clock.monoMs() - (nowMs - this.#startedAtMs);
    this.#since = left?.since ?? new Date(nowMs).toISOString();
    const { strategy, onTimeout, forcePostcopy } = order;
    this.#state = left?.state ?? sourceStart({ strategy, onTimeout, forcePostcopy });
    this.#steering = new Steering({
      order,
      elapsedMs: () => this.#elapsedMs(),
      mayEnd: () => this.phase === "precopy" && !this.#state.turning,
      setDowntimeLimit: (ms) => void this.#setDowntimeLimit(ms),
      turn: () => this.dispatch({ type: "postcopy" }),
      setBandwidth: (bytesPerSec) => this.#relay?.order({ order: "setBandwidth", bytesPerSec }),
      log: (fields, text) => this.#log.info(fields, text),
    });
    const { balloon: ordered } = order;
    this.#balloon = left || !vm ? null : new DepartingBalloon({ context, id, vm, ordered, log: this.#log });
    const tell = (event: SourceEvent) => this.#onQemu(event);
    this.#arbiter = new Arbiter({
      ...{ peer: this.#peer, id, log: this.#log, ends: this.#ends.signal, why: () => this.#error() },
      tell: (event) => this.dispatch(event),
    });
    const { meter, steering } = { meter: this.#meter, steering: this.#steering };
    this.#qemu = vm === null ? null : new SourceQemu(vm, { tell, meter, steering });
    this.#runner = new EffectRunner<SourceEffect>({
      run: (effect) => this.#run(effect),
      failing: () => this.#state.error,
      failed: (effect, error) => this.#failed(effect, error),
    });
  }

  get phase(): SourcePhase {
    return this.#state.phase;
  }

  get report(): Report | null {
    return this.#report;
  }

  status(): MigrationStatusBody {
    const { id, order } = this;
    this.#meter.expects(this.#steering.expectedDowntimeMs);
    return {
      ...{ id, vm: order.vm, to: order.to, strategy: order.strategy, phase: this.phase },
      ended: this.#told,
      elapsedMs: Math.round(this.#totalTimeMs ?? this.#elapsedMs()),
      ...this.#meter.read(),
      linkLostAt: this.#linkLostAt,
      report: this.#told ? (this.#report as Record<string, unknown> | null) : null,
    };
  }

  /** Since when it is in its phase, ISO 8601 in UTC. */
  get since(): string {
    return this.#since;
  }

  /** The VM as this move sees it; null: its QEMU had ended before this agent began. */
  get vm(): Vm | null {
    return this.#vm;
  }

  /** Takes up the move of the agent before us. */
  resume({ qemu }: Found): void {
    const { host, history } = this.#context;
    const { relay = null } = this.#left ?? {};
    if (this.phase === "inDoubt") {
      this.#told = true;
      this.#report = history.get<Report>("report", this.id);
    }
    this.#every(PROGRESS_MS, () => this.#emitProgress());
    const orphan = relay === null ? null : new OrphanRelay(relay);
    this.#relay = orphan;
    const error = new GodwitError("AGENT_RESTARTED", { host, phase: this.phase }).toJSON();
    this.dispatch({ type: "restarted", error, qemu, carrying: orphan?.alive ?? false });
    if (sourceSettled(this.phase)) void this.#settle(); // the agent before us did not come to an end with it
    void orphan?.gone.then(() => {
      if (this.#relay === orphan) this.dispatch({ type: "relayEnded", error: ORPHAN_ENDED });
    });
  }

  start(): void {
    this.#record();
    this.#every(PROGRESS_MS, () => this.#emitProgress());
    if (this.order.timeoutMs > 0) this.#after(this.order.timeoutMs, () => this.#timeIsOver());
    void this.#prepare();
  }

  /** A limit that passes while the target is still being prepared holds as soon as there is something to end. */
  #timeIsOver(): void {
    if (this.phase === "preparing" || this.phase === "starting")
      this.#after(POLL_MS, () => this.#timeIsOver());
    else this.dispatch({ type: "timeout" });
  }

  /** Errors: ORDER_TOO_LATE, POSTCOPY_NO_CANCEL. */
  cancel(): void {
    if (NO_WAY_BACK.has(this.phase)) throw new GodwitError("POSTCOPY_NO_CANCEL", {});
    if (!canCancel(this.phase))
      throw new GodwitError("ORDER_TOO_LATE", { order: "cancel", phase: this.phase });
    this.#cancelled.abort();
    this.dispatch({ type: "cancel" });
  }

  /**
   * Errors: ORDER_TOO_LATE, POSTCOPY_LINK_DROPPED; USAGE where the migration was not started with post-copy possible.
   */
  startPostcopy(): void {
    if (!mayUsePostcopy(this.#state.plan)) {
      const problem =
        "post-copy must be prepared from the start: use --strategy hybrid or --on-timeout postcopy";
      throw new GodwitError("USAGE", { problem });
    }
    if (!canPostcopy(this.#state)) {
      throw new GodwitError("ORDER_TOO_LATE", { order: "post-copy", phase: this.phase });
    }
    if (refusesPostcopy(this.#state)) throw new GodwitError("POSTCOPY_LINK_DROPPED", {});
    this.dispatch({ type: "postcopy" });
  }

  /**
   * The agent ends: what can be undone is undone. Post-copy is waited for, whatever it takes: without its relay the
   * guest would be lost. A doubt is left for the next agent.
   */
  async stop(): Promise<void> {
    if (canCancel(this.phase)) this.cancel();
    const untilMs = this.#context.clock.monoMs() + STOP_MS;
    const ours = this.#relay instanceof RelayProcess;
    const patient = () => (ours && CARRIED.has(this.phase)) || this.#context.clock.monoMs() < untilMs;
    const leaves = () => this.#told || this.phase === "inDoubt" || (!ours && NO_WAY_BACK.has(this.phase));
    while (!leaves() && patient()) await sleep(POLL_MS);
    this.#ended = true;
    this.#ends.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#relay instanceof OrphanRelay) this.#relay.letGo();
    else await this.#relay?.stop(this.#error());
    this.#qemu?.close();
  }

  dispatch(event: SourceEvent): void {
    const before = this.#state;
    const [after, effects] = sourceStep(before, event);
    this.#state = after;
    const how = endOfPrecopy(before, event, after);
    if (how !== null) this.#steering.ended(how);
    if (after.postcopyRefused && !before.postcopyRefused) this.#steering.refused();
    if (after.phase !== before.phase) {
      this.#log.info(
        { from: before.phase, to: after.phase, by: event.type, error: after.error },
        "source's phase",
      );
      this.#since = new Date(this.#context.clock.wallMs()).toISOString();
      // On the disk before any effect, so that a restarted agent never believes more than is true.
      if (!SOURCE_UNRECORDED.has(after.phase) && !this.#record()) return;
      if (after.phase === "completed") this.#totalTimeMs = this.#elapsedMs();
      this.#emitProgress();
    }
    this.#runner.add(effects);
    if (after.phase !== before.phase && sourceSettled(after.phase)) {
      this.#linkLostAt = null;
      void this.#settle();
    }
  }

  async #prepare(): Promise<void> {
    const { spec, qemuVersion } = this.#here;
    const { id, order } = this;
    const pageCacheBytes = pageCacheBytesOf(order, memoryBytesOf(spec));
    this.#newRelay("source");
    try {
      const postcopy = mayUsePostcopy(this.#state.plan);
      const balloon = (await this.#balloon?.look()) ?? { sizeBytes: null, auto: false };
      const preparing = this.#peer.prepare(
        {
          id,
          sourceHost: this.#context.host,
          ticket: this.#ticket,
          spec,
          postcopy,
          balloon,
          qemuVersion,
          pageCacheBytes,
          postcopyReconnectForMs: order.postcopyReconnectForMs,
          sourcePeer: this.#context.peerAddress,
        },
        this.#cancelled.signal,
      );
      // Meanwhile: the target waits for its QEMU.
      const clocks = clockOffsetMs(
        () => this.#peer.wallMs(),
        () => this.#context.clock.wallMs(),
      );
      [this.#prepared, this.#offsetMs] = await Promise.all([preparing, clocks]);
      this.dispatch({ type: "targetReady" });
    } catch (error) {
      this.#log.info({ err: error, to: order.to }, "target is not ready");
      this.dispatch({ type: "failed", error: wireError(error) });
    }
  }

  async #run(effect: SourceEffect): Promise<void> {
    switch (effect) {
      case "startRelay":
        return this.#startRelay();
      case "configure":
        await this.#shrinkGuest();
        return configureSource(this.#here.monitor, {
          postcopy: mayUsePostcopy(this.#state.plan),
          // Tiny until steering decides; nobody has to where the guest stands still. Not 0: with that QEMU completes at
          // the end of the first pass, whatever is left.
          downtimeLimitMs: stopsFirst(this.#state.plan) ? this.order.downtimeLimitMs : 1,
        });
      case "stopGuest":
        return this.#qemu?.hold();
      case "migrate":
        return void (await this.#here.monitor.execute("migrate", { uri: `unix:${this.#socket()}` }));
      case "slowStream":
        return this.#relay?.order({ order: "slowStream", ms: SLOW_MS_MAX });
      case "hurryStream":
        return this.#relay?.order({ order: "hurryStream" });
      case "startPostcopy":
        return void (await this.#here.monitor.execute("migrate-start-postcopy"));
      case "releaseShut":
        return this.#relay?.order({ order: "releaseShut" });
      case "sendCommit":
        return this.#arbiter.ask("commit");
      case "askDiscard":
        return this.#arbiter.ask("discard");
      case "askTarget":
        return this.#arbiter.ask("word");
      case "lookAtTarget":
        return this.#arbiter.look();
      case "askLater":
        return void this.#after(this.phase === "postcopy" ? ASK_SOON_MS : ASK_LATER_MS, () =>
          this.dispatch({ type: "askAgain" }),
        );
      case "recover":
        return this.#recover();
      case "recoverLater":
        return void this.#after(ASK_LATER_MS, () => this.dispatch({ type: "recoverAgain" }));
      case "discardTarget":
        return this.#arbiter.discard();
      case "stopRelay":
        return this.#relay?.stop(this.#error());
      case "resumeSource":
        return this.#resume();
      case "report":
        return this.#makeReport();
      case "dropSource":
        return this.#vm === null ? undefined : this.#context.vms.discard(this.#vm);
    }
  }

  #failed(effect: SourceEffect, error: unknown): void {
    this.#log.error({ err: error, effect, phase: this.phase }, "could not be carried out");
    const told = wireError(error);
    this.dispatch(
      effect === "resumeSource" ? { type: "sourceStuck", error: told } : { type: "failed", error: told },
    );
  }

  #startRelay(): void {
    this.#own?.start({
      side: "source",
      listen: this.#socket(),
      socketMode: 0o600,
      to: this.#relayAt(this.#prepared?.relayAddress ?? ""),
      ...relayTrust(this.#context, this.#peer.name),
      ...relaySettings(this.order, memoryBytesOf(this.#here.spec)),
      reconnectForMs: RECONNECT_MS,
      withholdShut: true,
      ticket: this.#ticket,
    });
  }

  /** Of an older one nothing is heard any more. */
  #newRelay(side: RelaySide): void {
    const relay: RelayProcess = new RelayProcess(
      this.#context.relays.take(),
      side,
      (event) => {
        if (relay === this.#relay) this.#onRelay(event);
      },
      this.#log,
    );
    this.#relay = relay;
  }

  /** Our own relay, which takes options and orders. */
  get #own(): RelayProcess | null {
    return this.#relay instanceof RelayProcess ? this.#relay : null;
  }

  /** Errors: SOURCE_QEMU_GONE when it had ended before this agent began. */
  get #here(): Vm {
    if (this.#vm !== null) return this.#vm;
    throw new GodwitError("SOURCE_QEMU_GONE", { phase: this.phase });
  }

  /** Brings in a new way what is missing at the target. docs/adr/0008 */
  async #recover(): Promise<void> {
    const old = this.#relay;
    this.#before = this.#figures;
    this.#relay = null;
    this.#linkLostAt = null;
    await old?.stop(this.#error());
    const section = this.#section;
    // Without it too the target is asked first: perhaps it has everything.
    const memory = this.#state.gone ? null : await memoryOf(this.#here, section).catch(wireError);
    this.#ticket = newTicket();
    const { relayAddress, ...answer } = await this.#peer.recover(this.id, this.#ticket);
    if (relayAddress === null || memory === null) return this.dispatch({ type: "targetSays", ...answer });
    if ("code" in memory) throw GodwitError.fromWire(memory);
    if (this.#ended) return; // what has to be brought the next agent brings
    this.#log.info({ phase: answer.phase, relayAddress }, "the target is ready for a rescue relay");
    const { bandwidthBytesPerSec, pushOrder, postcopyReconnectForMs } = this.order;
    this.#newRelay("rescue");
    this.#record(); // it may carry on alone
    this.#own?.start({
      ...{ side: "rescue", to: this.#relayAt(relayAddress), ticket: this.#ticket },
      ...relayTrust(this.#context, this.#peer.name),
      ...{ bandwidthBytesPerSec, pushOrder, postcopyReconnectForMs, section: section!, memory },
    });
  }

  /** Of all relays of this move so far; null before the first word. */
  get #figures(): RelayFigures | null {
    const now = this.#relay?.figures ?? null;
    return now === null ? this.#before : together(this.#before, now);
  }

  /** The host of our own order, and the port that the target tells. */
  #relayAt(address: string): string {
    return `${splitAddress(this.order.to).host}:${splitAddress(address).port}`;
  }

  #onRelay(event: RelayEvent): void {
    if (event.event === "ram") this.#section = event.section;
    if (event.event === "progress" || event.event === "ended") {
      this.#meter.relay(event.figures);
      this.#steering.relay(event.figures);
    }
    if (event.event === "linkLost" || event.event === "linkResumed") {
      const lost = event.event === "linkLost";
      this.#steering.link(!lost);
      this.#linkLostAt = lost ? new Date(this.#context.clock.wallMs()).toISOString() : null;
      this.#log.warn({ detail: event.detail }, event.event);
      this.#context.events.emit(`migration.${event.event}`, { id: this.id, detail: event.detail });
    }
    const told = sourceEventOf(event);
    if (told) this.dispatch(told);
  }

  /** A QEMU whose connection was closed only says so; the relay that closed it says why, perhaps a moment later. */
  #onQemu(event: SourceEvent): void {
    const closed = event.type === "qemuStatus" && event.status === "failed";
    if (!closed || this.#own === null || !(canCancel(this.phase) || this.phase === "handover"))
      return this.dispatch(event);
    void Promise.race([this.#own.gone, sleep(WHY_MS)]).then(() => this.dispatch(event));
  }

  /** Without an answer it is not told again: QEMU obeys as soon as it reads it, and its monitor hangs when it has. */
  async #setDowntimeLimit(ms: number): Promise<void> {
    try {
      await this.#here.monitor.execute("migrate-set-parameters", { "downtime-limit": ms });
    } catch (error) {
      this.#log.info({ err: error }, "QEMU did not answer the downtime limit");
    }
  }

  /** Before QEMU sends anything, and while it sends nothing else but pages. */
  async #shrinkGuest(): Promise<void> {
    const mayGoOn = () => this.phase === "precopy" && !this.#state.turning;
    await this.#balloon?.shrink(mayGoOn, () => void this.#record());
  }

  async #resume(): Promise<void> {
    await resumeGuest(this.#here, this.#section);
    await this.#balloon?.restore();
    const sizeBytes = this.#left?.balloonBytes;
    if (sizeBytes)
      await giveBack(this.#here, sizeBytes).catch((error) =>
        this.#log.error({ err: error }, "the balloon could not be put back"),
      );
    this.dispatch({ type: "sourceRuns" });
  }

  async #makeReport(): Promise<void> {
    if (this.phase === "completed" && this.#relay) {
      await Promise.race([this.#relay.gone, sleep(LAST_WORD_MS, undefined, { ref: false })]);
    }
    const watched: Watched = {
      ...{ id: this.id, order: this.order, vm: this.#vm, phase: this.phase },
      startedAtMs: this.#startedAtMs,
      startedAtMonoMs: this.#startedAtMonoMs,
      totalTimeMs: this.#totalTimeMs ?? this.#elapsedMs(),
      stoppedAtMs: this.#qemu?.stoppedAtMs ?? null,
      passes: this.#meter.pass,
      balloon: this.#balloon?.figures ?? null,
      switchover: this.#steering.facts(),
      targetVersion: this.#prepared?.qemuVersion ?? null,
      offsetMs: this.#offsetMs,
      figures: this.#figures,
      whole: this.#left === null,
      equal: this.#left === null || this.#state.wants === "commit" ? this.#state.equal : null,
      error: reportedError(this.#state),
    };
    this.#report = await makeReport(watched, this.#context.clock, () => this.#peer.facts(this.id), this.#log);
    try {
      this.#context.history.put("report", this.id, this.order.vm, this.#report);
    } catch (error) {
      this.#log.error({ err: error }, "the report is not in the history");
    }
    if (this.phase === "inDoubt") this.#emitEnded();
  }

  async #settle(): Promise<void> {
    await this.#runner.idle();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#qemu?.close();
    this.#release();
    // A guest that stands still here after all was lost is for the user to decide on: `recover`.
    const stands = this.phase === "lost" && this.#context.vms.find(this.order.vm) !== null;
    if (!stands) forget(this.#context, this.id);
    this.#emitEnded();
  }

  #emitProgress(): void {
    this.#context.events.emit("migration.progress", this.status());
  }

  /** Only now: who hears of the end finds everything in its place. */
  #emitEnded(): void {
    this.#told = true;
    this.#context.events.emit("migration.ended", this.status());
  }

  /** Whether the step may go on: without its record on the disk no point of no return is passed. */
  #record(): boolean {
    const record: SourceRecord = {
      ...{ side: "source", id: this.id, vm: this.order.vm, to: this.order.to, order: this.order },
      ...{ startedAt: new Date(this.#startedAtMs).toISOString(), since: this.#since },
      qemuPid: this.#vm?.pid ?? this.#left?.qemuPid ?? null,
      ...{ relay: this.#relay?.process ?? null, section: this.#section, state: this.#state },
      balloonBytes: this.#balloon?.beforeBytes ?? this.#left?.balloonBytes ?? null,
    };
    try {
      this.#context.history.put("state", this.id, this.order.vm, record);
    } catch (error) {
      this.#log.error({ err: error, phase: this.phase }, "the state could not be recorded");
      if (this.phase === "handover" || this.phase === "loaded") {
        this.dispatch({ type: "failed", error: notWritten(error) });
        return false;
      }
    }
    return true;
  }

  #socket(): string {
    return join(this.#here.dir, "relay.sock");
  }

  #error(): WireError {
    return this.#state.error ?? new GodwitError("ABORTED_BY_PEER", { reason: "the move has ended" }).toJSON();
  }

  #elapsedMs(): number {
    return this.#context.clock.monoMs() - this.#startedAtMonoMs;
  }

  #after(ms: number, act: () => void): void {
    if (!this.#ended) this.#timers.add(setTimeout(act, ms));
  }

  #every(ms: number, act: () => void): void {
    this.#timers.add(setInterval(act, ms));
  }
}

const ORPHAN_ENDED = new GodwitError("RELAY_ENDED", {
  side: "source",
  reason: "it outlived its agent and has ended",
}).toJSON();
