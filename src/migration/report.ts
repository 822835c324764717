/**
 * The report: one JSON object per migration, with the same names in --json, --report, the API and the history.
 * A figure that could not be known is null, never a guess. Times and counters come from whoever measured them; this
 * module only puts them together.
 */
import { EXIT, GodwitError, type WireError } from "../errors/mod.ts";
import type { EngineFigures } from "../pages/mod.ts";
import type { PagingFigures } from "../paging/mod.ts";

export const STRATEGIES = ["stop-and-copy", "precopy", "postcopy", "hybrid"] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** How a migration ended, seen by who owns the guest. */
export const ReportStatus = {
  /** The guest runs at the target, the source may be thrown away. */
  completed: "completed",
  /** Refused before anything was done. */
  refused: "refused",
  /** Undone: the guest runs at the source. */
  aborted: "aborted",
  /** The answer to the commit is missing: the source stays stopped until the target agent says who owns the guest. */
  inDoubt: "inDoubt",
  /** No side can run the guest any more. */
  lost: "lost",
} as const;
export type ReportStatus = (typeof ReportStatus)[keyof typeof ReportStatus];

/** A figure of each host. */
export interface Both<T> {
  readonly source: T;
  readonly target: T;
}

/** One decision of the convergence controller (convergence.ts). */
export interface Decision {
  /** Since the order, ms. */
  readonly atMs: number;
  /** Name of the rule that decided. */
  readonly rule: string;
  readonly pass: number;
  /** What a stop at that moment would have cost by its estimate, ms; null when it could not be estimated. */
  readonly expectedDowntimeMs: number | null;
}

export interface SwitchoverFacts {
  /** The rule that ended pre-copy; null: it was not ended. */
  readonly rule: string | null;
  /** Why it went on, and why it ended: an entry for each change of the rule that decided, oldest first. */
  readonly decisions: readonly Decision[];
}

export interface Report {
  readonly id: string;
  /** null for a bare relay: it does not know whose stream it carries. */
  readonly vm: string | null;
  /** null for a bare relay: only the orchestrator knows what it asked for. */
  readonly strategy: Strategy | null;
  readonly status: ReportStatus;
  /** Start by the source host's wall clock, ISO 8601 in UTC. */
  readonly startedAt: string;
  /** From the accepted order (bare relay: from QEMU's connection) until every page has arrived. */
  readonly totalTimeMs: number;
  /** No vCPU runs: the source's STOP to the target's RESUME, clocks of both hosts aligned. */
  readonly downtimeMs: number | null;
  /** What a client sees: longest gap between two heartbeats of the guest. null where no heartbeat is watched. */
  readonly blackoutMs: number | null;
  /** The longest time without a heartbeat from the target's RESUME on, up to the first one included. null as above. */
  readonly gapAfterResumeMs: number | null;
  /** Sweeps over memory: QEMU's dirty-sync-count. */
  readonly passes: number | null;
  /** Guest RAM announced in the stream; 0 when it did not get so far. */
  readonly ramBytes: number;
  /** Bytes that the source QEMU wrote. */
  readonly streamBytes: number;
  /** Bytes on the link's sockets, headers and repetitions included; forward = to the target. */
  readonly wireBytes: { readonly forward: number; readonly backward: number };
  /** Versions of pages. `sent` = zero + raw + encoded. */
  readonly pages: {
    readonly sent: number;
    readonly zero: number;
    readonly raw: number;
    readonly encoded: number;
  };
  /** What the page engine did at the source; null for engine `plain`. */
  readonly engine: EngineFigures | null;
  /** What the pager did in post-copy; null where there was none, or QEMU served its guest itself. */
  readonly paging: PagingFigures | null;
  /** What a balloon took from the guest before its memory was sent; null where that was not ordered, or not done. */
  readonly balloon: BalloonTaken | null;
  /** How the end of pre-copy was decided; null without an agent, or when nothing was decided. */
  readonly switchover: SwitchoverFacts | null;
  /** Post-copy: page requests of the target QEMU. */
  readonly faults: number;
  /** CPU time (user + system) of each relay process. */
  readonly cpuMs: Both<number | null>;
  /** Largest resident set of each relay process. */
  readonly rssBytes: Both<number | null>;
  /** Digest proof: all pages agree at both ends. null when it never came to a comparison. */
  readonly equal: boolean | null;
  /** How often a lost connection of the link was replaced. */
  readonly reconnects: number;
  /** QEMU's versions, for example "7.2.22". */
  readonly qemu: Both<string | null>;
  readonly error: WireError | null;
}

/**
 * What one relay measured: the fields of the report, so far. Counters only grow. `streamBytes` is what QEMU wrote into
 * this relay (source) or was given from it (target); `cpuMs.target` at the source is known after the end only.
 */
export interface CarriedFigures
  extends Pick<
    Report,
    | "ramBytes"
    | "streamBytes"
    | "wireBytes"
    | "pages"
    | "engine"
    | "paging"
    | "faults"
    | "reconnects"
    | "equal"
    | "cpuMs"
    | "rssBytes"
  > {
  /** From QEMU's connection (source) or the link's session (target) until now or the end. */
  readonly elapsedMs: number;
}

export const NOTHING_CARRIED: CarriedFigures = {
  elapsedMs: 0,
  ramBytes: 0,
  streamBytes: 0,
  wireBytes: { forward: 0, backward: 0 },
  pages: { sent: 0, zero: 0, raw: 0, encoded: 0 },
  engine: null,
  paging: null,
  faults: 0,
  reconnects: 0,
  equal: null,
  cpuMs: { source: null, target: null },
  rssBytes: { source: null, target: null },
};

/** The guest's RAM before and after a balloon was blown up for a move, and how long that took. */
export interface BalloonTaken {
  readonly beforeBytes: number;
  readonly sizeBytes: number;
  readonly tookMs: number;
}

/** What only an agent knows. */
export interface AgentFacts {
  readonly id: string;
  readonly vm: string;
  readonly strategy: Strategy;
  readonly status: ReportStatus;
  readonly startedAt: string;
  readonly totalTimeMs: number;
  readonly downtimeMs: number | null;
  readonly blackoutMs: number | null;
  readonly gapAfterResumeMs: number | null;
  readonly passes: number | null;
  readonly balloon: BalloonTaken | null;
  readonly switchover: SwitchoverFacts | null;
  readonly qemu: Both<string | null>;
  readonly error: WireError | null;
  /** The source relay's last figures; undefined when no relay was started. */
  readonly carried: CarriedFigures | undefined;
}

/** The report of a migration that agents conducted. */
export function agentReport(facts: AgentFacts): Report {
  const { carried, ...known } = facts;
  return { ...known, ...measured(carried ?? NOTHING_CARRIED) };
}

/**
 * The report of a bare relay. It is completed when the stream was carried to its end; what becomes of the guest after
 * that is the orchestrator's to say.
 */
export function relayReport(facts: {
  readonly id: string;
  readonly startedAt: string;
  readonly carried: CarriedFigures;
  readonly error: WireError | null;
}): Report {
  return {
    id: facts.id,
    vm: null,
    strategy: null,
    status: statusOf(facts.error),
    startedAt: facts.startedAt,
    totalTimeMs: facts.carried.elapsedMs,
    downtimeMs: null,
    blackoutMs: null,
    gapAfterResumeMs: null,
    passes: null,
    balloon: null,
    switchover: null,
    qemu: { source: null, target: null },
    error: facts.error,
    ...measured(facts.carried),
  };
}

/** What an error says of the guest: its exit code. */
function statusOf(error: WireError | null): ReportStatus {
  if (error === null) return ReportStatus.completed;
  const { exitCode } = GodwitError.fromWire(error);
  if (exitCode === EXIT.refused) return ReportStatus.refused;
  return exitCode === EXIT.inDoubt ? ReportStatus.inDoubt : ReportStatus.aborted;
}

function measured(carried: CarriedFigures) {
  const { ramBytes, streamBytes, wireBytes, pages, engine, paging } = carried;
  const { faults, reconnects, equal, cpuMs, rssBytes } = carried;
  return {
    ramBytes,
    streamBytes,
    wireBytes,
    pages,
    engine,
    paging,
    faults,
    reconnects,
    equal,
    cpuMs,
    rssBytes,
  };
}
