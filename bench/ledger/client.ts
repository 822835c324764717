/** What a client saw of a move, from the times at which its operations ended. */
import { quantileSorted } from "simple-statistics";
import type { ClientFigures, ClientPhase } from "../../src/bench/mod.ts";
import type { Operations } from "../types.ts";

/** From, until: a moment at `untilMs` is outside. */
export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface ClientSpans {
  readonly before: Span;
  /** From the order until the source could be thrown away. */
  readonly during: Span;
  readonly after: Span;
}

export interface ClientInput {
  readonly unit: string;
  /** Of one client or of several: their operations need no common order. */
  readonly operations: readonly Operations[];
  readonly spans: ClientSpans;
  readonly slaLimitMs: number;
}

export const SLA_WINDOW_MS = 100;

interface Operation {
  readonly endedAtMs: number;
  readonly latencyMs: number;
}

/**
 * The client's part of the ledger. Percentiles are of the operations that ended in the span, and lie on a straight line
 * between the two next to them.
 */
export function clientFigures({ unit, operations, spans, slaLimitMs }: ClientInput): ClientFigures {
  const all = merged(operations);
  const before = phase(all, spans.before);
  const during = phase(all, spans.during);
  const after = phase(all, spans.after);
  const watched = { fromMs: spans.during.fromMs, untilMs: spans.after.untilMs };
  const gaps = gapsIn(all, watched);
  return {
    unit,
    before,
    during,
    after,
    throughputLoss: before.perSec === 0 ? null : 1 - during.perSec / before.perSec,
    longestStallMs: gaps.map(lengthMs).reduce((a, b) => Math.max(a, b)),
    requestsLost: totalOrNull(operations.map((one) => one.requestsLost)),
    connectionsLost: totalOrNull(operations.map((one) => one.connectionsLost)),
    slaWindows: slaWindows(all, gaps, watched, slaLimitMs),
  };
}

function lengthMs({ fromMs, untilMs }: Span): number {
  return untilMs - fromMs;
}

function merged(operations: readonly Operations[]): Operation[] {
  return operations
    .flatMap(({ endedAtMs, latencyMs }) =>
      Array.from(endedAtMs, (at, i) => ({ endedAtMs: at, latencyMs: latencyMs[i]! })),
    )
    .sort((a, b) => a.endedAtMs - b.endedAtMs);
}

function endedIn(all: readonly Operation[], { fromMs, untilMs }: Span): Operation[] {
  return all.filter(({ endedAtMs }) => endedAtMs >= fromMs && endedAtMs < untilMs);
}

function phase(all: readonly Operation[], span: Span): ClientPhase {
  const own = endedIn(all, span);
  const durationMs = lengthMs(span);
  const latencies = own.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  const at = (share: number) => quantileSorted(latencies, share);
  return {
    durationMs,
    operations: own.length,
    perSec: durationMs === 0 ? 0 : own.length / (durationMs / 1000),
    latencyMs: own.length === 0 ? null : { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) },
  };
}

/** The times in `span` between the ends of operations, its edges included; never empty. */
function gapsIn(all: readonly Operation[], span: Span): Span[] {
  const edges = [span.fromMs, ...endedIn(all, span).map(({ endedAtMs }) => endedAtMs), span.untilMs];
  return edges.slice(1).map((untilMs, i) => ({ fromMs: edges[i]!, untilMs }));
}

/**
 * A window is missed when it overlaps a request that took longer than the limit, or a longer time than the limit in
 * which nothing ended: so a stall of ten windows counts ten times, also for a load whose own clock stood still.
 */
function slaWindows(
  all: readonly Operation[],
  gaps: readonly Span[],
  watched: Span,
  limitMs: number,
): ClientFigures["slaWindows"] {
  const of = Math.ceil(lengthMs(watched) / SLA_WINDOW_MS);
  const missed = new Set<number>();
  const miss = ({ fromMs, untilMs }: Span): void => {
    const first = Math.max(0, Math.floor((fromMs - watched.fromMs) / SLA_WINDOW_MS));
    for (let i = first; i < of && watched.fromMs + i * SLA_WINDOW_MS < untilMs; i++) missed.add(i);
  };
  for (const gap of gaps) if (lengthMs(gap) > limitMs) miss(gap);
  for (const { endedAtMs, latencyMs } of all)
    if (latencyMs > limitMs) miss({ fromMs: endedAtMs - latencyMs, untilMs: endedAtMs });
  return { missed: missed.size, of };
}

function totalOrNull(counts: readonly (number | null)[]): number | null {
  const known = counts.filter((count) => count !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}
