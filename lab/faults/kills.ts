/**
 * Each of the six processes of a move killed by SIGKILL, or stopped by SIGSTOP for a while, in each phase. An agent that
 * was killed is started again on the same state; what it says then counts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type AgentHost, strike } from "./agentHost.ts";
import { type KillMove, KillStand, type Strike } from "./killStand.ts";
import { CONT_GIVEN, MOMENTS, type Moment } from "./moments.ts";
import { endStand, standOf, TooLate, waitFor } from "./rig.ts";
import type { Pair } from "./settled.ts";
import { clearTrap, setTrap, struckBy } from "./trapFile.ts";
import { caught } from "./tries.ts";
import type { FaultCase, FaultPromise } from "./types.ts";
import { ROLES, type Role } from "./victims.ts";

/** Longer than a lost connection of the relays is tried again before post-copy, and than a target waits for its source. */
const LONG_STOP_MS = 75_000;
const SHORT_STOP_MS = 3_000;
/** How long an agent is away. */
const AWAY_MS = 500;
const MOMENT_MS = 60_000;
const SETTLE_MS = 120_000;
const SIDES = ["source", "target"] as const;
type Side = (typeof SIDES)[number];

interface Kill {
  readonly moment: Moment;
  readonly side: Side;
  readonly role: Role;
  /** For how long it is stopped; 0: it is killed. */
  readonly stopMs: number;
}

/** Where stops are tried: one moment of each kind. */
const STOPPED = ["precopy/first pass", "precopy/between END and SHUT", "precopy/committing"];
const STOPPED_TOO = ["postcopy/handover", "postcopy/early post-copy", "postcopy/source drained"];
const STOPPED_LONG = ["precopy/first pass", "precopy/committing", "postcopy/early post-copy"];

function* kills(): Generator<Kill> {
  for (const stopMs of [0, SHORT_STOP_MS, LONG_STOP_MS])
    for (const moment of MOMENTS) {
      const name = `${moment.strategy}/${moment.name}`;
      if (stopMs === SHORT_STOP_MS && ![...STOPPED, ...STOPPED_TOO].includes(name)) continue;
      if (stopMs === LONG_STOP_MS && !STOPPED_LONG.includes(name)) continue;
      for (const role of ROLES)
        for (const side of SIDES) if (isStruck(moment, side, role)) yield { moment, side, role, stopMs };
    }
}

/** Once the guest runs there, what becomes of the target's QEMU is no part of the move, and its relay has ended. */
function isStruck({ name }: Moment, side: Side, role: Role): boolean {
  return name !== CONT_GIVEN || side === "source" || role === "agent";
}

function faultOf({ side, role, stopMs }: Kill): string {
  return stopMs === 0 ? `kill ${side} ${role}` : `stop ${side} ${role} for ${stopMs / 1000} s`;
}

function promiseOf({ moment, side, role, stopMs }: Kill): FaultPromise {
  if (stopMs > 0) return "survives";
  // Of the guest's memory there is one whole copy, or two halves.
  if (role === "QEMU" && (side === "source" || !moment.beforeCommit)) return "mayBeLost";
  return moment.beforeCommit ? "source" : "survives";
}

/** What `npm test` has of these. */
const SLICE = [
  "precopy/between END and SHUT/kill source relay",
  "precopy/committing/kill target agent",
  "postcopy/handover/kill target QEMU",
  "postcopy/early post-copy/kill target relay",
];

/** Runs one case of this stand; its hosts are kept for the next. */
function caseOf(kill: Kill): FaultCase {
  const { moment, stopMs } = kill;
  const { strategy } = moment;
  const fault = faultOf(kill);
  const name = `${strategy}/${moment.name}/${fault}`;
  return {
    ...{
      name,
      group: stopMs === 0 ? "kills" : "stops",
      system: "godwit",
      strategy,
      moment: moment.name,
      fault,
    },
    promise: promiseOf(kill),
    slice: SLICE.includes(name),
    run: (qemu, signal) =>
      caught(async () => {
        const stand = await standOf("kills", qemu, () => KillStand.open(qemu, signal));
        return await stand.run({
          ...{ name, signal, order: { strategy }, limitMs: SETTLE_MS },
          before: (pair) => lay(kill, pair),
          strike: (move) => strikeAt(kill, move),
        });
      }),
    end: endStand,
  };
}

export const killCases: readonly FaultCase[] = [...kills()].map(caseOf);

/** Sets the trap for a moment that a log tells. */
function lay({ moment, side, role, stopMs }: Kill, pair: Pair): void {
  for (const host of [pair.source, pair.target]) clearTrap(host.trapPath);
  if (moment.trap === undefined) return;
  const { host, texts } = moment.trap;
  const signal = stopMs === 0 ? "SIGKILL" : "SIGSTOP";
  setTrap(pair[host].trapPath, { texts, role, marks: pair[side].marks, signal });
}

async function strikeAt(kill: Kill, move: KillMove): ReturnType<Strike> {
  const { moment, side, role, stopMs } = kill;
  const host = move[side];
  if (moment.turns !== undefined) {
    await move.until(moment.turns);
    await move.source.call("post", `/v1/migrations/${move.id}/postcopy`);
  }
  const pid =
    moment.trap === undefined ? await atState(kill, move) : await atLine(move[moment.trap.host], move);
  const atMs = performance.now();
  if (stopMs > 0) {
    await sleep(stopMs, undefined, { signal: move.signal });
    strike(pid, "SIGCONT");
  } else if (role === "agent") {
    await host.gone();
    await sleep(AWAY_MS);
    await host.start();
  }
  return { atMs };
}

/** Waits until the trap has sprung. @returns the pid that it struck */
async function atLine(host: AgentHost, move: KillMove): Promise<number> {
  const ended = watchEnd(move);
  let pid: number | null = null;
  await waitFor(
    () => {
      pid = struckBy(host.trapPath);
      if (pid === null && ended()) throw new TooLate("the move ended before its moment came");
      return pid !== null;
    },
    "the moment of the fault",
    MOMENT_MS,
    move.signal,
    5,
  );
  if (!pid) throw new TooLate("there was no such process at that moment");
  return pid;
}

/** Looks until the move is in that state, and strikes then. */
async function atState({ moment, side, role, stopMs }: Kill, move: KillMove): Promise<number> {
  await move.until(moment.when ?? (() => true));
  const pid = move[side].victim(role);
  if (pid === null || !strike(pid, stopMs === 0 ? "SIGKILL" : "SIGSTOP"))
    throw new TooLate("there was no such process at that moment");
  return pid;
}

/** Whether the move had ended a second ago: then a trap that has not sprung never will. */
function watchEnd(move: KillMove): () => boolean {
  let endedAtMs = Number.POSITIVE_INFINITY;
  let asking = false;
  return () => {
    if (!asking && endedAtMs === Number.POSITIVE_INFINITY) {
      asking = true;
      void move.ended().then((ended) => {
        asking = false;
        if (ended) endedAtMs = performance.now();
      });
    }
    return performance.now() > endedAtMs + 1_000;
  };
}
