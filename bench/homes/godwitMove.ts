import { setTimeout as sleep } from "node:timers/promises";
import type { AgentEvent, MigrationStatusBody } from "../../src/agent/mod.ts";
import type { TimelinePoint } from "../../src/bench/mod.ts";
import { GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import { nowMs } from "../clock.ts";
import type { GodwitSystem } from "../systems/mod.ts";
import type { AgentHost } from "./agentHost.ts";

const PAGE_BYTES = 4096;
const SAMPLE_MS = 100;
/** The agent itself undoes a move that is late, and that takes a moment. */
const SETTLE_MS = 30_000;
/** Cannot be undone: waited for as long again, as with stock QEMU, and no longer. */
const NO_WAY_BACK: ReadonlySet<string> = new Set(["handover", "postcopy"]);

export interface GodwitMoveOptions {
  readonly system: GodwitSystem;
  readonly vm: string;
  readonly source: AgentHost;
  /** HOST:PORT of the target's agent, as the source sees it. */
  readonly to: string;
  readonly timeLimitMs: number;
  /** The move is complete: the target runs the guest, and the source could be thrown away. */
  readonly onCompleted: () => void;
}

/** What was seen of one order from outside. */
export interface GodwitMoved {
  readonly orderedAtMs: number;
  readonly migrateAtMs: number | null;
  readonly endedAtMs: number;
  readonly timeline: readonly TimelinePoint[];
  /** null: the order was refused, or the agent told no end. */
  readonly report: Report | null;
  readonly error: string | null;
}

/** Gives one order to the source's agent and follows its events to the end. */
export async function moveByAgents(options: GodwitMoveOptions): Promise<GodwitMoved> {
  const { system, vm, source, to, timeLimitMs } = options;
  const orderedAtMs = nowMs();
  const firstAtMs = new Map<string, number>();
  const timeline: TimelinePoint[] = [];
  let last: MigrationStatusBody | null = null;
  // An event is a moment old when it is read: it must not come before what was said meanwhile.
  const show = (status: MigrationStatusBody, atMs: number) =>
    void timeline.push(point(status, Math.max(atMs - orderedAtMs, timeline.at(-1)?.atMs ?? 0)));
  const seen = (event: AgentEvent, status: MigrationStatusBody) => {
    last = status;
    if (firstAtMs.has(status.phase)) return;
    firstAtMs.set(status.phase, onOurClock(event.atMs));
    show(status, onOurClock(event.atMs));
    if (status.phase === "completed") options.onCompleted();
  };
  const sampler = setInterval(() => {
    // Once it is completed the agent still listens for heartbeats; that is no part of the move.
    if (last !== null && !firstAtMs.has("completed")) show(last, nowMs());
  }, SAMPLE_MS);
  let close = () => {};
  const over = new AbortController();
  const facts = (report: Report | null, error: string | null): GodwitMoved => ({
    orderedAtMs,
    migrateAtMs: firstAtMs.get("precopy") ?? null,
    endedAtMs: firstAtMs.get("completed") ?? firstAtMs.get("aborted") ?? nowMs(),
    timeline,
    report,
    error,
  });
  try {
    const followed = await source.client.events();
    close = followed.close;
    const ended = follow(followed.events, vm, seen);
    ended.catch(() => undefined); // an order that is refused comes first, and is told
    const order = { onTimeout: "abort", ...system.order, vm, to, timeoutMs: timeLimitMs };
    await source.client.post("/v1/migrations", order);
    const report = await Promise.race([
      ended,
      overdue(timeLimitMs, () => last?.phase ?? "starting", over.signal),
    ]);
    return facts(report, report.status === "completed" ? null : (report.error?.message ?? report.status));
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return facts(null, error.message);
  } finally {
    clearInterval(sampler);
    over.abort();
    close();
  }
}

/** Until this VM's move has its report. Errors: AGENT_UNREACHABLE when the events end before. */
async function follow(
  events: AsyncGenerator<AgentEvent, void, void>,
  vm: string,
  seen: (event: AgentEvent, status: MigrationStatusBody) => void,
): Promise<Report> {
  for await (const event of events) {
    if (event.type !== "migration.progress" && event.type !== "migration.ended") continue;
    const status = event.data as MigrationStatusBody;
    if (status.vm !== vm) continue;
    seen(event, status);
    if (event.type === "migration.ended") return status.report as unknown as Report;
  }
  throw new GodwitError("AGENT_UNREACHABLE", { path: vm, reason: "its events ended before its move did" });
}

/** Errors: BENCH_TIME_OVER when nothing more is waited for. Ends with the move. */
async function overdue(timeLimitMs: number, phase: () => string, signal: AbortSignal): Promise<never> {
  await sleep(2 * timeLimitMs, undefined, { signal });
  if (!NO_WAY_BACK.has(phase())) await sleep(SETTLE_MS, undefined, { signal });
  throw new GodwitError("BENCH_TIME_OVER", { timeLimitMs, phase: phase() });
}

/** The agent's wall clock is this machine's. */
function onOurClock(wallMs: number): number {
  return wallMs + nowMs() - Date.now();
}

function point(status: MigrationStatusBody, atMs: number): TimelinePoint {
  return {
    atMs,
    wireBytes: 0,
    remainingBytes: status.remainingBytes,
    dirtyPagesPerSec: status.dirtyBytesPerSec === null ? null : status.dirtyBytesPerSec / PAGE_BYTES,
    passes: status.pass,
    phase: status.phase,
  };
}
