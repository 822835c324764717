/** Moves that only the history knows. */
import type { Report } from "../../migration/mod.ts";
import type { MigrationStatusBody } from "../api.ts";
import type { AgentContext } from "../context.ts";

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
