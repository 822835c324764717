import type { AgentEvent, MigrationStatusBody } from "../../src/agent/mod.ts";
import type { TimelinePoint } from "../../src/bench/mod.ts";
import { GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import type { GodwitSystem } from "../systems/mod.ts";
import type { AgentHost } from "./agentHost.ts";
import { nowMs } from "./console.ts";

const PAGE_BYTES = 4096;
const SAMPLE_MS = 100;
/** The agent undoes a move that is late by itself, and then listens for a second; in post-copy it has to wait. */
const SETTLE_MS = 30_000;

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
  const seen = (event: AgentEvent, status: MigrationStatusBody) => {
    last = status;
    if (firstAtMs.has(status.phase)) return;
    firstAtMs.set(status.phase, onOurClock(event.atMs));
    timeline.push(point(status, Math.max(0, onOurClock(event.atMs) - orderedAtMs)));
    if (status.phase === "completed") options.onCompleted();
  };
  const sampler = setInterval(() => {
    // Once it is completed the agent still listens for heartbeats; that is no part of the move.
    if (last !== null && !firstAtMs.has("completed")) timeline.push(point(last, nowMs() - orderedAtMs));
  }, SAMPLE_MS);
  let close = () => {};
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
    const order = { ...system.order, vm, to, timeoutMs: timeLimitMs, onTimeout: "abort" };
    await source.client.post("/v1/migrations", order);
    const late = setTimeout(close, 2 * timeLimitMs + SETTLE_MS);
    try {
      const { report } = await ended;
      return facts(report, report.status === "completed" ? null : (report.error?.message ?? report.status));
    } finally {
      clearTimeout(late);
    }
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return facts(null, error.message);
  } finally {
    clearInterval(sampler);
    close();
  }
}

/** Until this VM's move has its report. Errors: AGENT_UNREACHABLE when the events end before. */
async function follow(
  events: AsyncGenerator<AgentEvent, void, void>,
  vm: string,
  seen: (event: AgentEvent, status: MigrationStatusBody) => void,
): Promise<{ report: Report }> {
  for await (const event of events) {
    if (event.type !== "migration.progress" && event.type !== "migration.ended") continue;
    const status = event.data as MigrationStatusBody;
    if (status.vm !== vm) continue;
    seen(event, status);
    if (event.type === "migration.ended") return { report: status.report as unknown as Report };
  }
  throw new GodwitError("AGENT_UNREACHABLE", { path: vm, reason: "its events ended before its move did" });
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
