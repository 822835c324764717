/** What an agent finds of its predecessor's moves. Finishing them by the table of states is not done here yet. */
import { GodwitError } from "../../errors/mod.ts";
import {
  agentReport,
  type Report,
  ReportStatus,
  SOURCE_MAY_RUN,
  sourceSettled,
} from "../../migration/mod.ts";
import type { MigrationStatusBody } from "../api.ts";
import type { AgentContext } from "../context.ts";
import type { SourceRecord } from "./sourceMove.ts";

const UNKNOWN = {
  pass: null,
  ramBytes: null,
  remainingBytes: null,
  streamBytesPerSec: null,
  wireBytesPerSec: null,
  dirtyBytesPerSec: null,
  expectedDowntimeMs: null,
  timeLeftMs: null,
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

/**
 * Moves that were under way when the agent ended get a report that says so: with the relays the agent's end stopped
 * them. Up to the switchover QEMU resumes the guest by itself; from then on it is in doubt.
 */
export function settleLeftOver(context: AgentContext): void {
  for (const record of context.history.list<SourceRecord>("state", { limit: 1000 })) {
    if (record.side !== "source" || sourceSettled(record.state.phase)) continue;
    const { id, vm, order, startedAt, state } = record;
    const safe = SOURCE_MAY_RUN.has(state.phase) && state.phase !== "loaded";
    const error = new GodwitError("AGENT_RESTARTED", { host: context.host, phase: state.phase }).toJSON();
    const report = agentReport({
      ...{ id, vm, strategy: order.strategy, startedAt, error },
      status: safe ? ReportStatus.aborted : ReportStatus.inDoubt,
      ...{ totalTimeMs: 0, downtimeMs: null, blackoutMs: null, passes: null },
      qemu: { source: context.vms.find(vm)?.qemuVersion ?? null, target: null },
      carried: undefined,
    });
    context.history.put("report", id, vm, report);
    context.history.remove("state", id);
    context.log.warn(
      { migration: id, vm, phase: state.phase },
      "a move of the agent before this one was left over",
    );
  }
}
