import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationStatusBody, VmBody } from "../../src/agent/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import { guestVerifies } from "../demo/verdict.ts";
import { type FaultSeen, putIn } from "./fault.ts";
import type { SoakHost } from "./host.ts";
import type { OpenLine } from "./line.ts";
import type { Fault, HostName, Load, MovePlan } from "./plan.ts";

export const VM = "guest";
const POLL_MS = 50;
/** From the order until one host runs the guest and the other has forgotten it: 30 s of pre-copy, 5 s of cut, and patience. */
const SETTLE_MS_MAX = 180_000;
/** The first pass may have begun before the move. */
const PASSES = 2;

/** What was seen of one move. */
export interface MoveRow {
  readonly plan: MovePlan;
  readonly from: HostName;
  readonly to: HostName;
  readonly fault: FaultSeen | null;
  readonly status: Report["status"];
  /** Code of the error that the report tells; null: none. */
  readonly error: string | null;
  readonly equal: boolean | null;
  readonly totalTimeMs: number;
  readonly downtimeMs: number | null;
  readonly blackoutMs: number | null;
  readonly passes: number | null;
  readonly reconnects: number;
  readonly wireBytes: number;
  /** From the order until nothing was under way any more. */
  readonly settledMs: number;
  /** The guest's pass over all of its set that ended well after the move, as it counts them. */
  readonly verifiedPass: number;
}

/** Something that must not happen: the soak ends with it. */
export class SoakFailure extends Error {}

export interface MoveParts {
  readonly plan: MovePlan;
  readonly source: SoakHost;
  readonly target: SoakHost;
  /** Already open; whoever opened it closes it. */
  readonly line: OpenLine;
  /** The test of the soak itself: one byte of the guest's memory changes after the move, behind its oracle's back. */
  readonly damage: boolean;
  readonly signal: AbortSignal;
}

/**
 * One move with its load and its fault, until all has settled and the guest has verified its memory.
 * Errors: GUEST_CORRUPT, GUEST_SILENT, SoakFailure, the signal's reason, and those of an agent that does not answer.
 */
export async function soakMove(parts: MoveParts): Promise<MoveRow> {
  const { plan, source, target, line, signal } = parts;
  const before = await guestAt(source);
  await work(source, plan.load);
  const startedMs = performance.now();
  const order = { ...plan.order, vm: VM, to: line.to };
  const { id } = await source.client.post<{ id: string }>("/v1/migrations", order);
  const over = new AbortController();
  const putting =
    plan.fault === null
      ? null
      : putIn({ fault: plan.fault, id, source, target, line, over: AbortSignal.any([over.signal, signal]) });
  putting?.catch(() => undefined); // told below, unless the move itself fails before
  try {
    const report = await reportOf(source, id, signal);
    over.abort();
    const fault = (await putting) ?? null;
    const host = await settled(parts, startedMs);
    const settledMs = performance.now() - startedMs;
    const expected = report.status === "completed" ? target : source;
    if (host !== expected)
      throw new SoakFailure(`its report says ${report.status}, and the guest runs at ${host.name}`);
    if (report.status !== "completed" && !mayEndIt(plan.fault, fault))
      throw new SoakFailure(
        `nothing was done that may end a move, and it was ${report.status}: ${report.error?.message}`,
      );
    if (report.status === "completed" && report.equal !== true)
      throw new SoakFailure("equal memory was not proven");
    await rest(host, parts.damage);
    const { pass } = await guestVerifies(host, VM, PASSES, signal);
    const after = await guestAt(host);
    if (pass <= (before.oracle?.lastVerified ?? 0) || beat(after) <= beat(before))
      throw new SoakFailure(`the guest at ${host.name} is not the one that was there before: it counts anew`);
    const { status, equal, totalTimeMs, downtimeMs, blackoutMs, passes, reconnects, wireBytes } = report;
    return {
      ...{
        plan,
        from: source.name,
        to: target.name,
        fault,
        status,
        error: report.error?.code ?? null,
        equal,
      },
      ...{ totalTimeMs, downtimeMs, blackoutMs, passes, reconnects },
      wireBytes: wireBytes.forward + wireBytes.backward,
      ...{ settledMs, verifiedPass: pass },
    };
  } finally {
    over.abort();
  }
}

/** Tells the guest how to work from now on. */
async function work(host: SoakHost, { mode, pagesPerSec, hotPercent, fillMib }: Load): Promise<void> {
  const fill = fillMib === 0 ? "free" : `fill ${fillMib}`;
  const text = `mode ${mode}\nrate ${pagesPerSec}\nhot ${hotPercent}\n${fill}\ngo\n`;
  await host.client.post(`/v1/vms/${VM}/console`, { text });
}

/** Between two moves it only verifies, in a manner in which that takes the most of its time (lab/guest/README.md). */
async function rest(host: SoakHost, damage: boolean): Promise<void> {
  const text = `stop\nmode words\n${damage ? "break\n" : ""}`;
  await host.client.post(`/v1/vms/${VM}/console`, { text });
}

/** The report that stands: one in doubt is settled later on, by the target's answer. */
async function reportOf(source: SoakHost, id: string, signal: AbortSignal): Promise<Report> {
  const untilMs = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const { ended, phase, report } = await source.client.get<MigrationStatusBody>(`/v1/migrations/${id}`);
    const known = report as unknown as Report | null;
    if (ended && known?.status === "lost")
      throw new SoakFailure(`the guest is lost: ${known.error?.message}`);
    if (ended && known !== null && known.status !== "inDoubt") return known;
    if (performance.now() > untilMs)
      throw new SoakFailure(`not settled ${SETTLE_MS_MAX / 1000} s after the order: ${phase}`);
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** The host that runs the guest, once it alone has it and nothing holds it any more. */
async function settled({ source, target, signal }: MoveParts, startedMs: number): Promise<SoakHost> {
  for (;;) {
    const hosts = [source, target];
    const found = await Promise.all(hosts.map((host) => host.find(VM)));
    if (found.every((vm) => vm?.status === "running")) throw new SoakFailure("both hosts run the guest");
    if (found.every((vm) => vm === null)) throw new SoakFailure("no host has the guest");
    const index = found.findIndex((vm) => vm !== null);
    const alone = found[1 - index] === null;
    if (alone && isFree(found[index]!)) return hosts[index]!;
    if (performance.now() - startedMs > SETTLE_MS_MAX) {
      const seen = found.map(
        (vm, i) => `${hosts[i]!.name}: ${vm === null ? "none" : `${vm.status}, ${vm.busyWith}`}`,
      );
      throw new SoakFailure(`not settled ${SETTLE_MS_MAX / 1000} s after the order (${seen.join("; ")})`);
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** A cancel may, and a relay killed while the source can still run its guest. A line that comes back, or post-copy: never. */
function mayEndIt(fault: Fault | null, seen: FaultSeen | null): boolean {
  return fault !== null && fault.kind !== "cut" && fault.at.phase === "precopy" && seen === "done";
}

function isFree({ status, incoming, busyWith }: VmBody): boolean {
  return status === "running" && !incoming && busyWith === null;
}

async function guestAt(host: SoakHost): Promise<VmBody> {
  const vm = await host.find(VM);
  if (vm === null) throw new SoakFailure(`${host.name} has lost the guest between two moves`);
  return vm;
}

/** 0 where none was heard yet: an agent that has just come back. */
function beat({ heartbeat }: VmBody): number {
  return heartbeat?.lastSeq ?? 0;
}

/** Whether this is what a soak may end with, as opposed to a mistake in it. */
export function isFinding(error: unknown): error is Error {
  return error instanceof SoakFailure || isGodwitError(error);
}
