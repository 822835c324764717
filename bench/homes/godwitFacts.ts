import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "../clock.ts";
import type { MoveFacts } from "../types.ts";
import type { GuestConsole } from "./console.ts";
import type { CpuMs } from "./cpu.ts";
import type { GodwitMoved } from "./godwitMove.ts";
import { LISTEN_MS } from "./stockMove.ts";

export interface Surroundings {
  readonly console: GuestConsole;
  /** Of all guests of the home together. */
  readonly cpu: { readonly source: CpuMs; readonly target: CpuMs };
  readonly agentRssBytes: { readonly source: number; readonly target: number };
  readonly guests: number;
}

/**
 * One guest's part. An agent serves all guests of its host: each is charged with its share, so that the sum over the
 * guests is right.
 */
export async function godwitFacts(move: GodwitMoved, around: Surroundings): Promise<MoveFacts> {
  const { report, error, orderedAtMs, endedAtMs } = move;
  const { cpu, agentRssBytes, guests, console } = around;
  const carried = report !== null && report.ramBytes > 0;
  const rss = (side: "source" | "target") =>
    Math.round(agentRssBytes[side] / guests) + (report?.rssBytes[side] ?? 0);
  let blackoutMs = report?.blackoutMs ?? null;
  if (blackoutMs === null) {
    // A report of a move that failed has none: what the console showed is coarser, and all there is.
    await sleep(Math.max(0, endedAtMs + LISTEN_MS - nowMs()));
    blackoutMs = console.longestGapMs(orderedAtMs, endedAtMs + LISTEN_MS);
  }
  return {
    ...{ orderedAtMs, endedAtMs, blackoutMs, error },
    migrateAtMs: move.migrateAtMs,
    gapAfterResumeMs: report?.gapAfterResumeMs ?? null,
    downtimeMs: report?.downtimeMs ?? null,
    passes: report?.passes ?? move.timeline.at(-1)?.passes ?? null,
    streamBytes: carried ? report.streamBytes : null,
    pages: carried ? { sent: report.pages.sent, zero: report.pages.zero } : null,
    cpuMs: { source: cpu.source.hostMs / guests, target: cpu.target.hostMs / guests },
    guestCpuMs: (cpu.source.vcpuMs + cpu.target.vcpuMs) / guests,
    extraRssBytes: { source: rss("source"), target: rss("target") },
    equal: report?.equal ?? null,
    engine: report?.engine ?? null,
    switchover: report?.switchover ?? null,
    requests: carried ? report.faults : null,
    paging: report?.paging ?? null,
    timeline: move.timeline,
  };
}
