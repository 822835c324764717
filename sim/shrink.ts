/** Makes a failing plan smaller for as long as it breaks the same rule. */
import type { Plan } from "./faults/plan.ts";
import { runPlan } from "./run.ts";

/** Runs that shrinking may take. */
const RUNS_MAX = 150;

/** A part of a plan that may go, or become plain. The first that helps is kept, and all are tried again. */
function smaller(plan: Plan): Plan[] {
  const { faults, order, roads } = plan;
  const without = (key: string, value: unknown): Plan[] =>
    order[key] === value ? [] : [{ ...plan, order: { ...order, [key]: value } }];
  return [
    ...faults.map((_, at) => ({ ...plan, faults: faults.filter((_fault, i) => i !== at) })),
    ...(plan.again ? [{ ...plan, again: false }] : []),
    ...(plan.blocks.length > 1 ? [{ ...plan, blocks: plan.blocks.slice(0, 1) }] : []),
    ...(plan.blocks[0]! > 8 ? [{ ...plan, blocks: [plan.blocks[0]! >> 1, ...plan.blocks.slice(1)] }] : []),
    ...(plan.skewMs === 0 ? [] : [{ ...plan, skewMs: 0 }]),
    ...(roads.jitterMs <= 0.1 ? [] : [{ ...plan, roads: { ...roads, jitterMs: 0.1 } }]),
    ...without("timeoutMs", 0),
    ...without("pagePolicy", "auto"),
    ...without("pushOrder", "auto"),
    ...without("pageCacheBytes", null),
    ...without("poolBytes", 0),
    ...without("engine", "plain"),
    ...without("forcePostcopy", false),
    ...without("postcopyReconnectForMs", 0),
    ...without("strategy", "precopy"),
  ];
}

export interface Shrunk {
  readonly plan: Plan;
  readonly runs: number;
}

/**
 * @param rule  that the plan breaks
 * @param run  gives the rule that a plan breaks; null: none
 * @returns the smallest plan that was found, which may be the same
 */
export async function shrink(
  plan: Plan,
  rule: string,
  run: (plan: Plan) => Promise<string | null> = async (given) => (await runPlan(given)).broken,
): Promise<Shrunk> {
  let smallest = plan;
  let runs = 0;
  for (let found = true; found && runs < RUNS_MAX; ) {
    found = false;
    for (const candidate of smaller(smallest)) {
      if (++runs > RUNS_MAX) break;
      if ((await run(candidate)) !== rule) continue;
      smallest = candidate;
      found = true;
      break;
    }
  }
  return { plan: smallest, runs };
}
