import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError, type WireError } from "../../errors/mod.ts";
import {
  type Advice,
  adviseSource,
  adviseTarget,
  type OtherSeen,
  type Permission,
  type Report,
  ReportStatus,
  type SideSeen,
  SOURCE_UNSETTLED,
  type SourcePhase,
  TARGET_UNSETTLED,
  type TargetPhase,
} from "../../migration/mod.ts";
import type { RecoveryBody, RecoveryOrder } from "../api.ts";
import { giveBack } from "../balloon/mod.ts";
import type { AgentContext } from "../context.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Departures } from "./departures.ts";
import { PeerClient } from "./peerClient.ts";
import { isOf, type SourceRecord, type TargetRecord } from "./records.ts";
import { forcedReport } from "./reporting.ts";
import { resumeGuest } from "./resume.ts";
import { ask, seeArrival, seeDeparture } from "./seen.ts";

/** Phases that most often are just passed through become a matter for recovery after this long. */
const PASSING_MS = 5_000;
/** How long an order is waited for. */
const ACT_MS = 15_000;
const POLL_MS = 50;
const RECORDS_MAX = 10_000;

type AnyRecord = SourceRecord | TargetRecord;

/** Moves of this host that are not settled: the evidence of both sides, what may be done, and doing it. docs/recovery.md */
export class Recoveries {
  readonly #context: AgentContext;
  readonly #departures: Departures;
  readonly #arrivals: Arrivals;

  constructor(
    context: AgentContext,
    moves: { readonly departures: Departures; readonly arrivals: Arrivals },
  ) {
    this.#context = context;
    this.#departures = moves.departures;
    this.#arrivals = moves.arrivals;
  }

  /** All that are not settled, newest first. Asks the other hosts, which may take some seconds. */
  async list(): Promise<RecoveryBody[]> {
    const records = this.#context.history.list<AnyRecord>("state", { limit: RECORDS_MAX });
    const found = records.filter((record) => this.#stands(record));
    const seen = await Promise.all(found.map((record) => this.#look(record)));
    // A post-copy is nobody's trouble while both sides are at work on it.
    const over = ["lost", "aborted", "discarded", null];
    const stands = ({ side, phase, here, there }: RecoveryBody) => {
      if (phase === "lost") return side === "target" || here.qemu?.running === false;
      return phase !== "postcopy" || "unseen" in there || over.includes(there.phase);
    };
    return seen.filter(stands);
  }

  /** One, whatever its phase. Errors: MIGRATION_UNKNOWN. */
  async get(id: string): Promise<RecoveryBody> {
    return this.#look(this.#record(id));
  }

  /**
   * Does what was ordered, when the evidence of this moment allows it, and waits a while for what becomes of it.
   * Errors: MIGRATION_UNKNOWN, RECOVERY_REFUSED, RECOVERY_NEEDS_FENCE; SOURCE_STUCK, those of ending a QEMU.
   */
  async act(id: string, { action, fenced }: RecoveryOrder): Promise<RecoveryBody> {
    const record = this.#record(id);
    const before = await this.#look(record);
    const { advice } = before;
    const doing = action === "settle" ? advice.settle : action;
    if (doing === null) return before;
    if (action !== "settle") this.#permit(id, action, advice, fenced);
    this.#context.log.warn(
      { migration: id, action, fenced, advice, there: before.there },
      "recovery by order",
    );
    if (record.side === "source") await this.#actSource(record, doing, fenced);
    else await this.#actTarget(record, doing, fenced);
    return { ...(await this.#look(record)), done: doing };
  }

  #permit(id: string, action: "resume" | "discard", advice: Advice, fenced: boolean): void {
    const permission: Permission = advice[action];
    const { why } = advice;
    if (permission === "no") throw new GodwitError("RECOVERY_REFUSED", { id, action, why });
    if (permission === "fenced" && !fenced)
      throw new GodwitError("RECOVERY_NEEDS_FENCE", { id, action, why });
  }

  async #actSource(
    record: SourceRecord,
    action: "ask" | "resume" | "discard",
    fenced: boolean,
  ): Promise<void> {
    const { id, vm: name } = record;
    const move = this.#departures.find(id);
    const phase = move?.phase ?? record.state.phase;
    const lost = phase === "lost";
    if (action === "discard") {
      await this.#drop(record);
      return this.#forget(id);
    }
    const error = new GodwitError("RESUMED_BY_ORDER", { vm: name, phase, fenced }).toJSON();
    if (lost) return this.#resumeLost(record, error);
    if (move === null) return; // its QEMU does not answer yet: nothing can be done with it
    if (action === "resume") move.dispatch({ type: "resumeHere", error });
    else move.dispatch({ type: phase === "recovering" ? "recoverAgain" : "askAgain" });
    await this.#until(
      () => !SOURCE_UNSETTLED.has(move.phase) && move.phase !== "aborting" && move.status().ended,
    );
  }

  async #actTarget(
    record: TargetRecord,
    action: "ask" | "resume" | "discard",
    fenced: boolean,
  ): Promise<void> {
    const { id, vm: name } = record;
    const move = this.#arrivals.find(id);
    const phase = move?.phase ?? record.state.phase;
    if (action === "resume") {
      move?.dispatch({ type: "commit" });
      await this.#until(() => move === null || move.phase === "running");
      return this.#reportForced(
        record,
        new GodwitError("RESUMED_BY_ORDER", { vm: name, phase, fenced }).toJSON(),
      );
    }
    if (action !== "discard") return;
    const error = new GodwitError("GIVEN_UP", { vm: name, phase, fenced }).toJSON();
    if (phase === "loaded") {
      move?.dispatch({ type: "discard", error });
      return this.#until(() => move === null || move.phase === "discarded");
    }
    move?.dispatch({ type: "giveUp", error });
    await this.#drop(record);
  }

  /** A guest that stood still here after its move was lost. */
  async #resumeLost({ id, vm: name, section, balloonBytes }: SourceRecord, error: WireError): Promise<void> {
    const { vms, history } = this.#context;
    const release = vms.claim(name, `recovery of ${id}`);
    try {
      const vm = vms.get(name);
      await resumeGuest(vm, section);
      if (balloonBytes) await giveBack(vm, balloonBytes);
    } finally {
      release();
    }
    const report = history.get<Report>("report", id);
    if (report !== null)
      history.put("report", id, name, { ...report, status: ReportStatus.aborted, error } satisfies Report);
    this.#forget(id);
  }

  /** Of a guest that was committed here by order only this agent has a report. */
  #reportForced({ id, vm, since }: TargetRecord, error: WireError): void {
    const { history, clock } = this.#context;
    if (this.#arrivals.find(id)?.phase !== "running") return;
    const totalTimeMs = clock.wallMs() - Date.parse(since);
    history.put("report", id, vm, forcedReport({ id, vm, startedAt: since, totalTimeMs, error }));
  }

  /** Ends the QEMU of the move, and no other that has its name now. */
  async #drop({ id, vm: name }: AnyRecord): Promise<void> {
    const vm = await this.#context.vms.takeOver(name);
    if (vm !== null && isOf(this.#record(id), vm)) await this.#context.vms.discard(vm);
  }

  #forget(id: string): void {
    this.#context.history.remove("state", id);
    this.#departures.forget(id);
  }

  /** Whether it is a matter for recovery, by what this host knows. */
  #stands(record: AnyRecord): boolean {
    const { clock, vms } = this.#context;
    const { id } = record;
    const move = record.side === "source" ? this.#departures.find(id) : this.#arrivals.find(id);
    const phase = move?.phase ?? record.state.phase;
    const passing = clock.wallMs() - Date.parse(move?.since ?? record.since) < PASSING_MS;
    const vm = vms.find(record.vm);
    if (phase === "lost") return vm !== null && isOf(record, vm);
    if (record.side === "target")
      return TARGET_UNSETTLED.has(phase as TargetPhase) && (phase === "interrupted" || !passing);
    return SOURCE_UNSETTLED.has(phase as SourcePhase) && (phase === "inDoubt" || !passing);
  }

  async #look(record: AnyRecord): Promise<RecoveryBody> {
    const { id, vm, side } = record;
    const context = this.#context;
    const address = side === "source" ? record.to : (record.order.sourcePeer ?? null);
    const here: SideSeen =
      side === "source"
        ? await seeDeparture(context, this.#departures, id)
        : await seeArrival(context, this.#arrivals, id);
    const there: OtherSeen =
      address === null
        ? { unseen: "it was not told where that agent is (it takes no VMs itself)" }
        : await ask(() => {
            const peer = new PeerClient(address, context.tls);
            return side === "source" ? peer.seenArrival(id) : peer.seenDeparture(id);
          });
    const advice = side === "source" ? adviseSource(here, there) : adviseTarget(here, there);
    return {
      id,
      vm,
      side,
      phase: here.phase ?? record.state.phase,
      address,
      here,
      there,
      advice,
      done: null,
    };
  }

  /** Errors: MIGRATION_UNKNOWN. */
  #record(id: string): AnyRecord {
    const record = this.#context.history.get<AnyRecord>("state", id);
    if (record !== null) return record;
    throw new GodwitError("MIGRATION_UNKNOWN", { id, host: this.#context.host });
  }

  async #until(when: () => boolean): Promise<void> {
    const { clock } = this.#context;
    const untilMs = clock.monoMs() + ACT_MS;
    while (!when() && clock.monoMs() < untilMs) await sleep(POLL_MS);
  }
}
