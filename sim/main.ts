/**
 * npm run sim -- [--seed N] [--runs N] [--trace] [--json] [--mutant NAME] [--plan FILE] [--no-shrink]
 *
 * Exit code 1 when a seed breaks a rule. docs/simulation.md
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { install } from "./engine/install.ts";

install();
const { runPlan } = await import("./run.ts");
const { planOf } = await import("./faults/plan.ts");
const { shrink } = await import("./shrink.ts");
const { regressions } = await import("./regressions.ts");
const { MUTANTS, mutate } = await import("./mutants.ts");
type Plan = import("./faults/plan.ts").Plan;
type RunResult = import("./run.ts").RunResult;
type MutantName = import("./mutants.ts").MutantName;

const RUNS = 200;
const PROGRESS_MS = 1000;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    runs: { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    mutant: { type: "string" },
    plan: { type: "string" },
    "no-shrink": { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

const USAGE = `Usage: npm run sim -- [--seed N] [--runs N] [--trace] [--json] [--plan FILE] [--mutant NAME] [--no-shrink]

  --seed N        the first seed (default 1)
  --runs N        how many seeds (default ${RUNS}; with --seed alone: 1)
  --trace         prints every step
  --json          one JSON object on stdout
  --plan FILE     runs this plan (JSON, as a failing seed prints it) instead of seeds
  --mutant NAME   with a bug put in on purpose: ${MUTANTS.join(", ")}
  --no-shrink     a failing plan is printed as it is

docs/simulation.md`;

function count(text: string | undefined, otherwise: number): number {
  const n = text === undefined ? otherwise : Number(text);
  if (Number.isSafeInteger(n) && n >= 0) return n;
  process.stderr.write(`"${text}" is no whole number\n`);
  process.exit(2);
}

async function run(plan: Plan, trace: boolean): Promise<RunResult> {
  const restore = values.mutant === undefined ? undefined : mutate(values.mutant as MutantName);
  try {
    return await runPlan(plan, trace ? { trace: (line) => process.stderr.write(`${line}\n`) } : {});
  } finally {
    restore?.();
  }
}

if (values.help) {
  process.stdout.write(`${USAGE}\n`);
  process.exit(0);
}
if (values.mutant !== undefined && !MUTANTS.includes(values.mutant as MutantName)) {
  process.stderr.write(`no such mutant: ${values.mutant}\n`);
  process.exit(2);
}

const first = count(values.seed, 1);
const runs = count(values.runs, values.seed === undefined ? RUNS : 1);
const plans: (() => Plan)[] = [];
if (values.plan !== undefined) plans.push(() => JSON.parse(readFileSync(values.plan!, "utf8")) as Plan);
else {
  if (values.seed === undefined) for (const { plan } of regressions()) plans.push(() => plan);
  for (let seed = first; seed < first + runs; seed++) plans.push(() => planOf(seed));
}

const startedMs = performance.now();
let toldMs = startedMs;
let steps = 0;
let simulatedMs = 0;
const ends: Record<string, number> = {};
const seen: Record<string, number> = {};
const failures: { readonly result: RunResult; readonly plan: Plan }[] = [];
for (const [done, make] of plans.entries()) {
  const plan = make();
  const result = await run(plan, values.trace);
  steps += result.atStep;
  simulatedMs += result.simulatedMs;
  ends[result.end] = (ends[result.end] ?? 0) + 1;
  for (const moment of result.seen) seen[moment] = (seen[moment] ?? 0) + 1;
  if (result.broken !== null) {
    failures.push({ result, plan });
    process.stderr.write(`seed ${plan.seed} breaks ${result.detail} (step ${result.atStep})\n`);
  }
  if (performance.now() - toldMs < PROGRESS_MS) continue;
  toldMs = performance.now();
  process.stderr.write(`${done + 1} of ${plans.length}, ${failures.length} broken\n`);
}
const tookMs = performance.now() - startedMs;

const [worst] = failures;
let shrunk: Plan | undefined;
if (worst !== undefined && !values["no-shrink"]) {
  process.stderr.write("making the first of them smaller\n");
  const rule = worst.result.broken!;
  shrunk = (await shrink(worst.plan, rule, async (plan) => (await run(plan, false)).broken)).plan;
}

if (values.json) {
  const broken = failures.map(({ result: { seed, broken: rule, detail, atStep } }) => ({
    seed,
    broken: rule,
    detail,
    atStep,
  }));
  process.stdout.write(
    `${JSON.stringify({ runs: plans.length, tookMs: Math.round(tookMs), steps, simulatedMs: Math.round(simulatedMs), ends, seen, broken, shrunk: shrunk ?? null })}\n`,
  );
} else {
  const ways = Object.entries(ends).map(([end, times]) => `${end} ${times}`);
  process.stdout.write(
    [
      `${plans.length} worlds, ${failures.length} broken, ${(tookMs / plans.length).toFixed(1)} ms each`,
      `${steps} steps, ${(simulatedMs / 60_000).toFixed(0)} minutes simulated; ends: ${ways.join(", ")}`,
      ...failures.map(
        ({ result }) => `seed ${result.seed}: ${result.detail}; replay: ${replayOf(result.seed)}`,
      ),
      ...(shrunk === undefined
        ? []
        : [`smallest plan that breaks the same rule (--plan FILE):`, JSON.stringify(shrunk)]),
      "",
    ].join("\n"),
  );
}
process.exitCode = failures.length === 0 ? 0 : 1;

function replayOf(seed: number): string {
  const mutant = values.mutant === undefined ? "" : ` --mutant "${values.mutant}"`;
  return `npm run sim -- --seed ${seed} --trace${mutant}`;
}
