/**
 * Goal: whatever is cut, killed, stopped, delayed or lost, never two hosts run the guest, its memory arrives as it was, and
 * the move settles and says what is true.
 * Method: the plans that failed once, then 2000 seeds of the simulation (docs/simulation.md): real relays, links and agents
 * over a simulated network, processes and QEMUs. A seed that fails is printed with the command that replays it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { install } from "../../sim/engine/install.ts";

install();
const { runPlan, runSeed } = await import("../../sim/run.ts");
const { planOf } = await import("../../sim/faults/plan.ts");
const { regressions } = await import("../../sim/regressions.ts");
const { shrink } = await import("../../sim/shrink.ts");
const { mutate } = await import("../../sim/mutants.ts");

const SEEDS = 2000;

test("plans that failed once", async () => {
  for (const { what, plan } of regressions()) {
    const { broken, detail } = await runPlan(plan);
    assert.equal(broken, null, `${what}: ${detail}`);
  }
});

test(`${SEEDS} seeds`, async (t) => {
  const failed: string[] = [];
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS && failed.length < 5; seed++) {
    const result = await runSeed(seed);
    for (const moment of [...result.seen, `end ${result.end}`]) seen.set(moment, (seen.get(moment) ?? 0) + 1);
    if (result.broken !== null) failed.push(`${result.detail}; npm run sim -- --seed ${seed} --trace`);
  }
  assert.deepEqual(failed, []);
  t.diagnostic([...seen].map(([moment, times]) => `${moment} ${times}`).join(", "));
  // What the seeds are for has happened, and often enough to mean something.
  for (const moment of MUST_COME)
    assert.ok((seen.get(moment) ?? 0) >= 3, `${moment}: ${seen.get(moment) ?? 0} times`);
});

const MUST_COME = [
  ...["completed", "aborted", "refused"].map((end) => `end ${end}`),
  ...["precopy", "switchover", "handover", "postcopy", "recovering", "loaded", "committing", "inDoubt"].map(
    (phase) => `source:${phase}`,
  ),
  ...["committed", "postcopy", "interrupted", "running", "discarded"].map((phase) => `target:${phase}`),
  ...["relay.source:linkResumed", "relay.rescue:recovered"],
];

test("the same seed takes the same steps, whatever ran before", async () => {
  const trace = async (): Promise<string[]> => {
    const lines: string[] = [];
    await runSeed(7, { trace: (line) => lines.push(line) });
    return lines;
  };
  const first = await trace();
  await runSeed(8);
  assert.ok(first.length > 20);
  assert.deepEqual(await trace(), first);
});

test("a failing plan is made smaller, and still fails in the same way", async () => {
  const run = async (plan: ReturnType<typeof planOf>): Promise<string | null> => {
    const restore = mutate("double resume");
    return (await runPlan(plan).finally(restore)).broken;
  };
  let plan = planOf(1);
  for (let seed = 2; plan.faults.length < 3 || (await run(plan)) !== "two_run"; seed++) plan = planOf(seed);
  const smallest = (await shrink(plan, "two_run", run)).plan;
  assert.equal(await run(smallest), "two_run");
  assert.deepEqual(smallest.faults, []);
  assert.equal(smallest.blocks.length, 1);
});
