/** What happens in each move of a soak, by its seed alone: whatever becomes of a move, the next one's plan is the same. */
import { type Random, randomFrom } from "../../bench/run/random.ts";
import type { MigrationOrderInput } from "../../src/agent/mod.ts";
import type { Strategy } from "../../src/migration/mod.ts";
import { ENGINE_NAMES, POLICY_NAMES } from "../../src/pages/mod.ts";
import { PUSH_ORDERS } from "../../src/paging/mod.ts";
import { MANNERS, type Manner } from "../guest/mod.ts";
import type { CutManner } from "../host/mod.ts";

export type HostName = "a" | "b";

/** How the guest works during a move, by the commands of its console. */
export interface Load {
  readonly mode: Manner;
  readonly pagesPerSec: number;
  /** So many percent of its set take 90 % of the writes; 0: all alike. */
  readonly hotPercent: number;
  /** Memory that it fills beside its set; 0: what it had filled is given back. */
  readonly fillMib: number;
}

/** The line between the hosts during a move. */
export interface Line {
  /** Each direction; null: no limit. */
  readonly bytesPerSec: number | null;
  readonly latencyMs: number;
  readonly jitterMs: number;
}

/** When a fault comes: so long after the move was first seen in this phase. */
export interface Moment {
  readonly phase: "precopy" | "postcopy";
  readonly afterMs: number;
}

export type Fault =
  | { readonly kind: "cut"; readonly manner: CutManner; readonly forMs: number; readonly at: Moment }
  | { readonly kind: "cancel"; readonly at: Moment }
  | { readonly kind: "kill"; readonly relay: "source" | "target"; readonly at: Moment };

/** An agent that ends and comes back before the move: told to, or killed. */
export type Restart = "SIGTERM" | "SIGKILL";

export interface MovePlan {
  /** From 1. */
  readonly number: number;
  readonly order: Omit<MigrationOrderInput, "vm" | "to"> & { readonly strategy: Strategy };
  readonly load: Load;
  readonly line: Line;
  /** null: nothing is done to this move. */
  readonly fault: Fault | null;
  /** Of host b. Host a's agent lives through the whole soak, so that its memory can be judged. */
  readonly restart: Restart | null;
}

/** Half of the moves have none: what they cost is worth knowing, too. */
const FAULT_SHARE = 0.5;
const RESTART_SHARE = 1 / 12;
const CUT_MS = { min: 100, max: 5_000 } as const;
const AFTER_MS_MAX = 1_500;
/** A guest that writes faster than its line carries is stopped, or goes on at the target, after this. */
const TIMEOUT_MS = 30_000;
const MBIT = 125_000;

/**
 * The plan of one move.
 * @param number  from 1
 * @param can.postcopy  false: this system does not let QEMU have userfaultfd, so strategies that need it are left out
 */
export function movePlan(seed: number, number: number, can: { readonly postcopy: boolean }): MovePlan {
  const random = randomFrom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b));
  const strategies: readonly Strategy[] = can.postcopy
    ? ["precopy", "precopy", "postcopy", "postcopy", "hybrid", "hybrid", "stop-and-copy"]
    : ["precopy", "precopy", "stop-and-copy"];
  const strategy = pick(random, strategies);
  return {
    number,
    order: {
      strategy,
      engine: pick(random, ["auto", "auto", ...ENGINE_NAMES] as const),
      pagePolicy: pick(random, ["auto", ...POLICY_NAMES] as const),
      pushOrder: pick(random, PUSH_ORDERS),
      downtimeLimitMs: pick(random, [30, 100, 300]),
      bandwidthBytesPerSec: pick(random, [0, 0, 100 * MBIT]),
      timeoutMs: TIMEOUT_MS,
      onTimeout: can.postcopy && random() < 0.5 ? "postcopy" : "stop",
      // A line that was cut before is no reason here to let pre-copy go on without end.
      forcePostcopy: true,
    },
    load: loadBy(random),
    line: lineBy(random),
    fault: faultBy(random, strategy),
    restart: random() < RESTART_SHARE ? pick(random, ["SIGTERM", "SIGKILL"]) : null,
  };
}

function loadBy(random: Random): Load {
  return {
    mode: pick(random, MANNERS),
    pagesPerSec: pick(random, [20, 200, 1000, 4000]),
    hotPercent: pick(random, [0, 0, 10]),
    fillMib: pick(random, [0, 0, 8]),
  };
}

function lineBy(random: Random): Line {
  const rate = pick(random, [50, 100, 200, 500, null]);
  const latencyMs = pick(random, [0, 0, 1, 5, 20]);
  return { bytesPerSec: rate === null ? null : rate * MBIT, latencyMs, jitterMs: latencyMs / 5 };
}

function faultBy(random: Random, strategy: Strategy): Fault | null {
  if (random() >= FAULT_SHARE) return null;
  const kind = pick(random, ["cut", "cut", "cancel", "kill", "kill"]);
  const late = strategy === "postcopy" || (strategy === "hybrid" && random() < 0.5);
  // A cancel in post-copy is refused; in any other phase it undoes the move.
  const phase = late && kind !== "cancel" ? "postcopy" : "precopy";
  const at: Moment = { phase, afterMs: Math.floor(random() * AFTER_MS_MAX) };
  if (kind === "cancel") return { kind, at };
  if (kind === "kill") return { kind, relay: pick(random, ["source", "target"]), at };
  // As many short ones as long ones.
  const forMs = Math.round(CUT_MS.min * (CUT_MS.max / CUT_MS.min) ** random());
  return { kind: "cut", manner: pick(random, ["reset", "blackhole"]), forMs, at };
}

function pick<const T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!;
}
