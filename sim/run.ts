/** One seed from its plan to its end. */
import { enter } from "./engine/active.ts";
import { OUTSIDE, Simulation } from "./engine/simulation.ts";
import { arm, QUIET_MS } from "./faults/inject.ts";
import { type FaultKind, type Plan, planOf } from "./faults/plan.ts";
import { judge, settled, statusOf } from "./judge.ts";
import { giveBack } from "./standins/kernels.ts";
import type { SeedOutcome } from "./types.ts";
import { World } from "./world.ts";

/** Once faults have stopped a move settles within this. */
const REST_MS = 180_000;
const STEPS_MAX = 150_000;
const LOOK_MS = 20;

export interface RunOptions {
  readonly trace?: (line: string) => void;
}

export interface RunResult extends SeedOutcome {
  readonly detail: string;
  /** Phases, events and faults that came. */
  readonly seen: ReadonlySet<string>;
  readonly simulatedMs: number;
  /** How the last move ended, by the API. */
  readonly end: string;
}

/** Runs a world to its end. The same plan gives the same steps, whatever ran before. */
export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const simulation = new Simulation(plan.seed, options.trace);
  const world = new World(simulation, plan);
  const unhandled = (error: unknown): void => simulation.caught(error);
  process.on("unhandledRejection", unhandled);
  enter({ simulation, network: world.network, peers: world.peers, memories: world, processes: world });
  try {
    const happened = new Set<FaultKind>();
    world.begin();
    await toTheEnd(world, happened);
    const end = world.moveId === undefined ? "none" : (statusOf(world, world.moveId)?.phase ?? "unknown");
    for (const fault of happened) world.seen.add(`fault ${fault}`);
    const { broken } = simulation;
    return {
      seed: plan.seed,
      broken: broken?.rule ?? null,
      detail: broken?.message ?? "",
      atStep: simulation.steps,
      seen: world.seen,
      simulatedMs: simulation.nowMs,
      end,
    };
  } finally {
    enter(undefined);
    giveBack();
    process.off("unhandledRejection", unhandled);
  }
}

/** The plan of a seed, run. */
export function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  return runPlan(planOf(seed), options);
}

async function toTheEnd(world: World, happened: Set<FaultKind>): Promise<void> {
  const { simulation, plan } = world;
  const check = (): void => world.check();
  const limits = { untilMs: QUIET_MS + REST_MS, stepsMax: STEPS_MAX };
  simulation.schedule(5, () => world.order(), OUTSIDE);
  arm(world, (fault) => happened.add(fault.what));
  let rests = await simulation.run(() => restsNow(world), limits, check);
  if (simulation.broken !== undefined) return;
  const id = world.moveId;
  // Nothing may be left to happen since the last look.
  rests ||= id !== undefined && settled(world, id);
  if (id === undefined)
    return void (world.orderError ?? simulation.fail("not_ordered", "the move did not begin"));
  const problem = judge(world, id, happened, rests);
  if (problem !== undefined) return simulation.fail(...problem);
  if (!plan.again || statusOf(world, id)?.phase !== "aborted" || !world.qemus[0]!.running) return;
  await moveAgain(world, happened);
}

/** A guest that stayed can be moved, now that nothing fails any more. */
async function moveAgain(world: World, happened: Set<FaultKind>): Promise<void> {
  const { simulation } = world;
  // What is left of faults is over by then.
  const fromMs = Math.max(simulation.nowMs, QUIET_MS) + 13_000;
  const before = world.moveId;
  simulation.schedule(fromMs - simulation.nowMs, () => world.order(), OUTSIDE);
  const limits = { untilMs: fromMs + REST_MS, stepsMax: simulation.steps + STEPS_MAX };
  const rests = await simulation.run(
    () => (world.moveId !== before && restsNow(world)) || world.orderError !== undefined,
    limits,
    () => world.check(),
  );
  if (simulation.broken !== undefined || world.plan.order["timeoutMs"] !== 0) return;
  const { moveId } = world;
  if (world.orderError !== undefined)
    return simulation.fail("not_again", `the next order is refused: ${world.orderError}`);
  const problem = judge(world, moveId!, happened, rests);
  if (problem !== undefined) return simulation.fail(...problem);
  const phase = statusOf(world, moveId!)?.phase;
  if (phase !== "completed") simulation.fail("not_again", `the next move ends as ${phase}`);
}

let lastLookMs = -1;
let lastLook = false;

/** Looked at from time to time: it costs more than most events. */
function restsNow(world: World): boolean {
  const { nowMs } = world.simulation;
  if (nowMs < lastLookMs || nowMs - lastLookMs >= LOOK_MS) {
    lastLookMs = nowMs;
    lastLook = world.moveId === undefined ? world.orderError !== undefined : settled(world, world.moveId);
  }
  return lastLook;
}
