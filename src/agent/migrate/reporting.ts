import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { WireError } from "../../errors/mod.ts";
import {
  agentReport,
  type BalloonTaken,
  type Report,
  ReportStatus,
  type SourcePhase,
  type SwitchoverFacts,
} from "../../migration/mod.ts";
import { NO_FIGURES, type RelayFigures } from "../../relay/mod.ts";
import type { MigrationOrder } from "../api.ts";
import type { Clock, Vm } from "../context.ts";
import { longestGapMs } from "./blackout.ts";
import type { TargetFacts } from "./peerSchemas.ts";

/** The heartbeat is listened to for so long after the end: a stall right after the switchover is seen, too. */
const LISTEN_MS = 1_000;

/** What the source agent saw of a migration. */
export interface Watched {
  readonly id: string;
  readonly order: MigrationOrder;
  /** null: its QEMU has ended, and only this agent's predecessor saw it. */
  readonly vm: Vm | null;
  /** This agent saw the move from its beginning. */
  readonly whole: boolean;
  readonly phase: SourcePhase;
  readonly startedAtMs: number;
  readonly startedAtMonoMs: number;
  readonly totalTimeMs: number;
  /** QEMU's last STOP event; null when there was none. */
  readonly stoppedAtMs: number | null;
  readonly passes: number | null;
  readonly balloon: BalloonTaken | null;
  readonly switchover: SwitchoverFacts | null;
  readonly targetVersion: string | null;
  /** The target's clock is so far ahead. */
  readonly offsetMs: number;
  readonly figures: RelayFigures | null;
  readonly equal: boolean | null;
  readonly error: WireError | null;
}

/** Waits for the last heartbeats, asks the target for its part, and puts the report together. */
export async function makeReport(
  watched: Watched,
  clock: Clock,
  ask: () => Promise<TargetFacts>,
  log: Logger,
): Promise<Report> {
  const completed = watched.phase === "completed";
  const endedAtMs = clock.wallMs();
  const heard = watched.whole && watched.vm?.spec.heartbeat === true && watched.vm.serial !== null;
  const listens = completed && heard;
  if (listens) await sleep(LISTEN_MS);
  let facts: TargetFacts | null = null;
  if (completed) {
    try {
      facts = await ask();
    } catch (error) {
      log.warn({ err: error }, "the report lacks the target's part");
    }
  }
  const { id, vm, order, figures, passes, balloon, switchover, error, offsetMs } = watched;
  const resumedAtMs = facts?.resumedAtMs ?? null;
  return agentReport({
    ...{ id, vm: order.vm, strategy: order.strategy, passes, balloon, switchover, error },
    status: statusOf(watched.phase),
    startedAt: new Date(watched.startedAtMs).toISOString(),
    totalTimeMs: round(watched.totalTimeMs),
    downtimeMs:
      resumedAtMs === null || watched.stoppedAtMs === null
        ? null
        : round(Math.max(0, resumedAtMs - offsetMs - watched.stoppedAtMs)),
    blackoutMs: listens ? blackout(watched, facts, endedAtMs) : null,
    gapAfterResumeMs: listens ? gapAfterResume(facts, endedAtMs + offsetMs) : null,
    qemu: { source: vm?.qemuVersion ?? null, target: watched.targetVersion },
    carried:
      figures === null && watched.whole
        ? undefined
        : carriedWith(figures ?? NO_FIGURES, facts, watched.equal),
  });
}

/** Of a guest that runs here by order: what its move was like only the other host could tell. */
export function forcedReport(
  facts: Pick<Report, "id" | "startedAt" | "totalTimeMs" | "error"> & { readonly vm: string },
): Report {
  const nothing = { blackoutMs: null, gapAfterResumeMs: null, passes: null, balloon: null, switchover: null };
  const report = agentReport({
    ...{ ...facts, ...nothing, strategy: "precopy", status: ReportStatus.completed, downtimeMs: null },
    ...{ qemu: { source: null, target: null }, carried: undefined },
  });
  return { ...report, strategy: null };
}

function blackout(watched: Watched, facts: TargetFacts | null, endedAtMs: number): number | null {
  const { vm, startedAtMs, startedAtMonoMs, offsetMs } = watched;
  if (!facts?.beatsAtMs) return null;
  const here = vm?.serial?.beatsSince(startedAtMonoMs).map(({ wallMs }) => wallMs) ?? [];
  const there = facts.beatsAtMs.map((ms) => ms - offsetMs);
  const gapMs = longestGapMs([...here, ...there], { fromMs: startedAtMs, toMs: endedAtMs + LISTEN_MS });
  return gapMs === null ? null : round(gapMs);
}

/** @param endedAtMs  by the target's clock */
function gapAfterResume(facts: TargetFacts | null, endedAtMs: number): number | null {
  if (!facts?.beatsAtMs || facts.resumedAtMs === null) return null;
  const { resumedAtMs, beatsAtMs } = facts;
  // Until the first beat counts: in post-copy it may have to wait for its pages.
  const window = { fromMs: resumedAtMs, toMs: endedAtMs + LISTEN_MS };
  const gapMs = longestGapMs([resumedAtMs, ...beatsAtMs], window);
  return gapMs === null ? null : round(gapMs);
}

function carriedWith(figures: RelayFigures, facts: TargetFacts | null, equal: boolean | null): RelayFigures {
  const { cpuMs, rssBytes } = figures;
  return {
    ...figures,
    equal: figures.equal ?? equal,
    cpuMs: { source: cpuMs.source, target: cpuMs.target ?? facts?.cpuMs ?? null },
    rssBytes: { source: rssBytes.source, target: rssBytes.target ?? facts?.rssBytes ?? null },
  };
}

function statusOf(phase: SourcePhase): ReportStatus {
  switch (phase) {
    case "completed":
    case "refused":
    case "aborted":
    case "lost":
      return ReportStatus[phase];
    default:
      return ReportStatus.inDoubt;
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
