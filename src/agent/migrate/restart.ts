/** What an agent finds of its predecessor's moves. The relays ended with it. */
import { GodwitError, type WireError } from "../../errors/mod.ts";
import {
  agentReport,
  type Report,
  ReportStatus,
  type SourcePhase,
  sourceSettled,
  TARGET_MAY_RUN,
  type TargetPhase,
  targetSettled,
} from "../../migration/mod.ts";
import type { MigrationStatusBody } from "../api.ts";
import { giveBack } from "../balloon/mod.ts";
import type { AgentContext } from "../context.ts";
import type { SourceRecord, TargetRecord } from "./records.ts";
import { resumeGuest } from "./resume.ts";
import { wireError } from "./translate.ts";

const UNKNOWN = {
  pass: null,
  ramBytes: null,
  remainingBytes: null,
  streamBytesPerSec: null,
  wireBytesPerSec: null,
  dirtyBytesPerSec: null,
  expectedDowntimeMs: null,
  timeLeftMs: null,
  linkLostAt: null,
} as const;

/** The status of a move that this agent process did not conduct, from its report; null when there is none. */
export function pastStatus(context: AgentContext, id: string): MigrationStatusBody | null {
  const report = context.history.get<Report>("report", id);
  if (report === null) return null;
  return {
    ...{ id, vm: report.vm ?? "", to: "", strategy: report.strategy ?? "precopy", phase: report.status },
    ...{ ended: true, elapsedMs: report.totalTimeMs, ...UNKNOWN, report: { ...report } },
  };
}

/** Settles what the agent before this one left over, as far as that takes no guess; never rejects. */
export async function settleLeftOver(context: AgentContext): Promise<void> {
  const records = context.history.list<SourceRecord | TargetRecord>("state", { limit: 1000 });
  for (const record of records) {
    const log = context.log.child({ migration: record.id, vm: record.vm });
    const { phase } = record.state;
    if (record.side === "target" && phase === "running") await giveBackTo(context, record);
    if (record.side === "source" ? sourceSettled(phase as SourcePhase) : targetSettled(phase as TargetPhase))
      continue;
    log.warn({ side: record.side, phase }, "a move of the agent before this one was left over");
    try {
      if (record.side === "source") await settleDeparture(context, record);
      else await settleArrival(context, record);
    } catch (error) {
      log.error({ err: error }, "it could not be settled");
    }
  }
}

/**
 * Before the switchover was on record no commit was sent and post-copy had not begun: the guest is made to run again.
 * Later it is in doubt, and said so.
 */
async function settleDeparture(context: AgentContext, record: SourceRecord): Promise<void> {
  const { id, vm: name, order, startedAt, state } = record;
  const { host, history, vms } = context;
  const vm = vms.find(name);
  let error: WireError = new GodwitError("AGENT_RESTARTED", { host, phase: state.phase }).toJSON();
  let status: ReportStatus = ReportStatus.inDoubt;
  if (UNDOABLE.has(state.phase)) {
    status = ReportStatus.aborted;
    try {
      if (vm === null) throw new GodwitError("SOURCE_QEMU_GONE", { phase: state.phase });
      await resumeGuest(name, vm.monitor);
      await giveBackTo(context, record);
    } catch (cause) {
      status = ReportStatus.lost;
      error = wireError(cause);
    }
  }
  const report = agentReport({
    ...{ id, vm: name, strategy: order.strategy, startedAt, status, error },
    totalTimeMs: context.clock.wallMs() - Date.parse(startedAt),
    ...{
      downtimeMs: null,
      blackoutMs: null,
      gapAfterResumeMs: null,
      passes: null,
      balloon: null,
      switchover: null,
    },
    qemu: { source: vm?.qemuVersion ?? null, target: null },
    carried: undefined,
  });
  history.put("report", id, name, report);
  // A move in doubt keeps its record: it is what a recovery starts from.
  if (status !== ReportStatus.inDoubt) history.remove("state", id);
}

/** What was not committed never ran here: it is discarded. What was goes on, if nothing was missing. */
async function settleArrival(context: AgentContext, record: TargetRecord): Promise<void> {
  const { id, vm: name, state } = record;
  const vm = context.vms.find(name);
  const keep = (phase: TargetPhase) =>
    context.history.put("state", id, name, { ...record, state: { ...state, phase } } satisfies TargetRecord);
  if (!TARGET_MAY_RUN.has(state.phase)) {
    if (vm?.incoming) await context.vms.discard(vm);
    return keep("discarded");
  }
  if (vm === null || !state.delivered) return keep("lost");
  await vm.monitor.execute("cont");
  await context.vms.confirm(vm);
  keep("running");
  await giveBackTo(context, record);
}

/** A guest that was made smaller for a move gets back what was taken, where it now runs; never rejects. */
async function giveBackTo(context: AgentContext, record: SourceRecord | TargetRecord): Promise<void> {
  const { id, vm: name, balloonBytes } = record;
  const vm = context.vms.find(name);
  if (!balloonBytes || vm === null) return;
  try {
    await giveBack(vm, balloonBytes);
    const now = context.history.get<SourceRecord | TargetRecord>("state", id) ?? record;
    context.history.put("state", id, name, { ...now, balloonBytes: null });
  } catch (error) {
    context.log.error({ err: error, vm: name }, "the balloon could not be put back");
  }
}

const UNDOABLE: ReadonlySet<SourcePhase> = new Set(["preparing", "precopy", "aborting"]);
