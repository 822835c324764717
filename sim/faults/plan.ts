/** What a seed stands for: two hosts, a guest, an order, and the faults that happen. Plain data, so that it can be made smaller. */
import { STRATEGIES, TIMEOUT_ACTIONS } from "../../src/migration/mod.ts";
import { ENGINE_NAMES, POLICY_NAMES } from "../../src/pages/mod.ts";
import { PUSH_ORDERS } from "../../src/paging/mod.ts";
import { Random } from "../engine/random.ts";
import type { Roads } from "../engine/wire.ts";

/** When a fault happens: so long after the order, or after the first time that a move comes to a moment. */
export interface When {
  /** "source:precopy", "target:committed", "relay.source:targetLoaded", ...; undefined: the order. */
  readonly moment?: string;
  readonly plusMs: number;
}

export const FAULTS = [
  "kill source agent",
  "kill target agent",
  "kill source relay",
  "kill target relay",
  "kill source qemu",
  "kill target qemu",
  "stop source agent",
  "stop target agent",
  "stop source relay",
  "stop target relay",
  "cut",
  "cut at source",
  "cut at target",
  "mute",
  "close road",
  "close road there",
  "close road back",
  "lose requests",
  "lose answers",
  "disk full at source",
  "disk full at target",
  "cancel",
  "postcopy",
] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface Fault {
  readonly what: FaultKind;
  readonly when: When;
  /** How long it lasts, where it does; of a killed agent: until it is back. */
  readonly forMs: number;
}

export interface Plan {
  readonly seed: number;
  /** Pages of each block. */
  readonly blocks: readonly number[];
  readonly versions: { readonly source: string; readonly target: string };
  readonly roads: Roads;
  readonly writesPerMs: number;
  readonly skewMs: number;
  readonly order: Readonly<Record<string, unknown>>;
  readonly faults: readonly Fault[];
  /** After a move that was undone the operator orders another. */
  readonly again: boolean;
}

const MOMENTS = [
  ...["starting", "precopy", "switchover", "handover", "loaded", "committing", "postcopy"],
  ...["recovering", "undoing", "inDoubt", "aborting"],
].map((phase) => `source:${phase}`);
const TARGET_MOMENTS = [
  "ready",
  "loading",
  "loaded",
  "committed",
  "postcopy",
  "interrupted",
  "running",
  "discarding",
].map((phase) => `target:${phase}`);
const RELAY_MOMENTS = [
  ...["linkUp", "ram", "barrier", "verdict", "targetLoaded", "packageLoaded", "linkLost", "linkResumed"].map(
    (event) => `relay.source:${event}`,
  ),
  ...["linkUp", "verdict", "targetLoaded", "packageLoaded", "linkLost"].map(
    (event) => `relay.target:${event}`,
  ),
  "relay.rescue:linkUp",
  "relay.rescue:recovered",
];
/** The moments of a post-copy, which is short here. */
const POSTCOPY_MOMENTS = [
  ...["source:handover", "source:postcopy", "target:postcopy", "source:recovering", "target:interrupted"],
  ...["relay.source:packageLoaded", "relay.target:packageLoaded", "relay.rescue:linkUp"],
];
const ALL_MOMENTS = [...MOMENTS, ...TARGET_MOMENTS, ...RELAY_MOMENTS];
/** QEMUs die more rarely than what the subject is. */
const COMMON = FAULTS.filter((fault) => !fault.endsWith("qemu"));

/** Everything of a seed. */
export function planOf(seed: number): Plan {
  const random = new Random(seed, "plan");
  const strategy = random.pick([...STRATEGIES, "precopy", "hybrid", "postcopy"] as const);
  const engine = random.pick(ENGINE_NAMES);
  const old = () => random.pick(["7.2.22", "10.0.2"]);
  return {
    seed,
    blocks: blocksOf(random),
    versions: { source: old(), target: old() },
    roads: {
      latencyMs: random.magnitude(0.05, 60),
      jitterMs: random.magnitude(0.1, 80),
      bytesPerMs: random.magnitude(800, 400_000),
      socketBytes: random.int(4, 64) * 4096,
    },
    writesPerMs: random.chance(0.2) ? 0.0001 : random.magnitude(0.01, 2),
    skewMs: random.int(-5000, 5000),
    order: {
      strategy,
      engine,
      pagePolicy: random.pick(POLICY_NAMES),
      pushOrder: random.pick(PUSH_ORDERS),
      poolBytes: random.chance(0.25) ? 0 : 4096 * random.int(64, 128),
      pageCacheBytes: random.chance(0.5) ? null : 4096 * random.int(0, 40),
      downtimeLimitMs: random.pick([1, 30, 300]),
      onTimeout: random.pick(TIMEOUT_ACTIONS),
      timeoutMs: random.chance(0.5) ? 0 : random.int(100, 8000),
      forcePostcopy: random.chance(0.3),
      postcopyReconnectForMs: random.chance(0.7) ? 0 : random.int(500, 8000),
    },
    faults: faultsOf(random, strategy === "postcopy" || strategy === "hybrid"),
    again: random.chance(0.3),
  };
}

function blocksOf(random: Random): number[] {
  const total = random.int(8, 64);
  if (random.chance(0.4)) return [total];
  const small = random.int(1, 4);
  return random.chance(0.5) ? [total, small] : [total, small, random.int(1, 3)];
}

/** @param turns  to post-copy, perhaps */
function faultsOf(random: Random, turns: boolean): Fault[] {
  const many = random.float();
  const count = many < 0.08 ? 0 : many < 0.7 ? random.int(1, 2) : random.int(3, 7);
  return Array.from({ length: count }, () => {
    const what = random.chance(0.1) ? random.pick(FAULTS) : random.pick(COMMON);
    const moments = turns && random.chance(0.6) ? POSTCOPY_MOMENTS : ALL_MOMENTS;
    const moment = random.chance(0.8) ? { moment: random.pick(moments) } : {};
    const plusMs = random.chance(0.2)
      ? 0
      : moments === POSTCOPY_MOMENTS
        ? random.magnitude(0.02, 20)
        : random.magnitude(0.02, moment.moment === undefined ? 2000 : 300);
    return { what, when: { ...moment, plusMs }, forMs: random.magnitude(5, 30_000) };
  });
}
