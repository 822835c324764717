/** What is seen once a fault and everything after it is over. */
import { setTimeout as sleep } from "node:timers/promises";
import { isGodwitError } from "../../src/errors/mod.ts";
import type { AgentHost } from "./agentHost.ts";
import type { FaultSeen } from "./types.ts";

/** How long after the end was told the guest may take to run where it was told to be. */
const RUNS_MS = 20_000;
const ORACLE_MS = 90_000;
/** A next migration may have to wait until the other host has given up the last one. */
const AGAIN_MS = 90_000;
const AGAIN_EVERY_MS = 1_000;
const MOVE_MS = 120_000;
const LOOK_MS = 100;
/** An agent that has just started may not know all moves at once. */
const UNKNOWN_MS = 15_000;
/** A guest that runs is heard ten times a second. */
const BEATS_MS = 5_000;
/** How long an operator leaves a doubt to settle by itself. */
const DOUBT_MS = 45_000;

/** What was said of a move. */
export interface Said {
  readonly status: string;
  readonly error: string | null;
  /** Of a lost guest, why, in words. */
  readonly why?: string;
  readonly equal: boolean | null;
  /** Whether it is the last word. */
  readonly ended: boolean;
}

export interface Pair {
  readonly source: AgentHost;
  readonly target: AgentHost;
}

/** Asks the source's agent until it has an end to tell; after the limit, what it says then. */
export async function saidOf(
  { source }: Pair,
  id: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<Said> {
  const endMs = performance.now() + limitMs;
  let said: Said = { status: "silent", error: null, equal: null, ended: false };
  let [status, sinceMs] = [said.status, performance.now()];
  while (performance.now() < endMs) {
    signal.throwIfAborted();
    said = await ask(source, id, said);
    if (said.ended) return said;
    if (said.status !== status) [status, sinceMs] = [said.status, performance.now()];
    const patienceMs = { unknown: UNKNOWN_MS, inDoubt: DOUBT_MS }[status] ?? Number.POSITIVE_INFINITY;
    if (performance.now() - sinceMs > patienceMs) return said;
    await sleep(LOOK_MS);
  }
  return said;
}

/** In doubt is no end: it is asked on. */
async function ask(source: AgentHost, id: string, before: Said): Promise<Said> {
  try {
    const { phase, ended, report } = await source.status(id);
    const status = ended && report !== null ? report.status : phase;
    const error = report?.error?.code ?? null;
    const why = status === "lost" && report?.error ? { why: report.error.message } : {};
    return { status, error, ...why, equal: report?.equal ?? null, ended: ended && status !== "inDoubt" };
  } catch (error) {
    if (isGodwitError(error) && (error.code as string) === "MIGRATION_UNKNOWN")
      return { status: "unknown", error: null, equal: null, ended: false };
    return before; // it is down, or stopped
  }
}

/**
 * What an operator does where the agents will not guess: no QEMU is left at the target, who sees that says so, and the
 * source's guest goes on (`godwit recover --resume-here --other-host-is-fenced`). Null: it was not so, or was refused.
 */
export async function recoverHere(pair: Pair, id: string, signal: AbortSignal): Promise<Said | null> {
  if (pair.target.victim("QEMU") !== null || pair.source.victim("QEMU") === null) return null;
  try {
    await pair.source.call("post", `/v1/recoveries/${id}`, { action: "resume", fenced: true });
    return await saidOf(pair, id, MOVE_MS, signal);
  } catch {
    signal.throwIfAborted();
    return null;
  }
}

/** Who runs the guest, given some time for it. */
export async function runsOf({ source, target }: Pair, signal: AbortSignal): Promise<FaultSeen["runs"]> {
  const endMs = performance.now() + RUNS_MS;
  for (;;) {
    if (source.runs.running && target.runs.running) return "both";
    if (source.runs.running) return "source";
    if (target.runs.running) return "target";
    if (performance.now() > endMs || (source.victim("QEMU") ?? target.victim("QEMU")) === null) return "none";
    signal.throwIfAborted();
    await sleep(LOOK_MS);
  }
}

/** Whether what agents say agrees with who runs. */
export async function isTruthful(pair: Pair, said: Said, runs: FaultSeen["runs"]): Promise<boolean> {
  const expected: Record<string, readonly FaultSeen["runs"][]> = {
    completed: ["target"],
    aborted: ["source"],
    refused: ["source"],
    unknown: ["source"],
    lost: ["none"],
    inDoubt: ["none"],
  };
  if (!(expected[said.status] ?? []).includes(runs)) return false;
  for (const side of ["source", "target"] as const) {
    const guest = await pair[side].guest().catch(() => null);
    if ((guest?.status === "running") !== (runs === side)) return false;
  }
  return true;
}

/**
 * What the guest says of its memory where it runs, after one whole pass of its oracle from now on.
 * @param beat  the last heartbeat known from before: one that counts from the beginning has started anew
 */
export async function oracleOf(
  host: AgentHost,
  beat: number,
  signal: AbortSignal,
): Promise<FaultSeen["oracle"]> {
  const endMs = performance.now() + ORACLE_MS;
  const goal = (host.heard()?.passes ?? 0) + 2; // the first was under way
  while (performance.now() < endMs) {
    const heard = host.heard();
    if (heard !== null && (heard.faults.length > 0 || (heard.beat > 0 && heard.beat < beat)))
      return "corrupt";
    if (heard !== null && heard.passes >= goal) return "clean";
    if (!host.runs.running) return "none";
    signal.throwIfAborted();
    await sleep(LOOK_MS);
  }
  return "none";
}

/** Whether the guest still does anything. */
export async function beats(host: AgentHost, signal: AbortSignal): Promise<boolean> {
  const before = host.heard()?.beat ?? 0;
  const endMs = performance.now() + BEATS_MS;
  while (performance.now() < endMs && host.runs.running) {
    if ((host.heard()?.beat ?? 0) > before + 1) return true;
    signal.throwIfAborted();
    await sleep(LOOK_MS);
  }
  return false;
}

/** Moves the guest to the other host. `waitedFor`: the last refusal before one was accepted. */
export async function moveAgain(
  from: AgentHost,
  to: AgentHost,
  signal: AbortSignal,
): Promise<{ readonly worked: boolean; readonly note: string | null }> {
  const beganMs = performance.now();
  let refusal: string | null = null;
  while (performance.now() - beganMs < AGAIN_MS) {
    signal.throwIfAborted();
    const atMs = performance.now();
    const said = await tryMove({ source: from, target: to }, signal);
    if (said.status === "completed") {
      const beat = from.heard()?.beat ?? 0;
      const worked = to.runs.running && (await oracleOf(to, beat, signal)) === "clean";
      const waitedSec = Math.round((atMs - beganMs) / 1000);
      return { worked, note: refusal && `the next migration was refused for ${waitedSec} s (${refusal})` };
    }
    refusal = said.error ?? said.status;
    await sleep(AGAIN_EVERY_MS);
  }
  return { worked: false, note: `the next migration: ${refusal}` };
}

async function tryMove(pair: Pair, signal: AbortSignal): Promise<Said> {
  try {
    const id = await pair.source.begin({ to: pair.target.peer });
    return await saidOf(pair, id, MOVE_MS, signal);
  } catch (error) {
    signal.throwIfAborted();
    const said = isGodwitError(error) ? error.code : (error as Error).message;
    return { status: "refused", error: said, equal: null, ended: true };
  }
}
