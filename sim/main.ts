/** Worlds by seed, each with its faults, and whether one of them breaks a rule. docs/simulation.md */
import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { readFlags, whole } from "../lab/commandLine.ts";
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

const SEED_MAX = 2 ** 31;

interface Flags {
  readonly seed?: number;
  readonly runs?: number;
  readonly trace?: true;
  readonly json?: true;
  readonly plan?: string;
  readonly mutant?: MutantName;
  readonly shrink: boolean;
}

const values = readFlags<Flags>(
  new Command("npm run sim --")
    .description(
      "Moves in simulated worlds, each with its faults by its seed; every rule is looked at after every step.",
    )
    .option("--seed <n>", "the first seed (default: 1)", whole(0, SEED_MAX))
    .option("--runs <n>", `how many seeds (default: ${RUNS}; with --seed alone 1)`, whole(0, 100_000_000))
    .option("--trace", "prints every step")
    .option("--json", "one JSON object on stdout")
    .option("--plan <file>", "runs this plan (JSON, as a failing seed prints it) instead of seeds")
    .addOption(new Option("--mutant <name>", "with a bug put in on purpose").choices(MUTANTS))
    .option("--no-shrink", "a failing plan is printed as it is")
    .addHelpText(
      "after",
      `
Example: npm run sim -- --seed 1 --runs 2000
Exit codes: 0 no rule was broken; 1 one was; 2 usage. docs/simulation.md says more.`,
    ),
);

async function run(plan: Plan, trace: boolean): Promise<RunResult> {
  const restore = values.mutant === undefined ? undefined : mutate(values.mutant);
  try {
    return await runPlan(plan, trace ? { trace: (line) => process.stderr.write(`${line}\n`) } : {});
  } finally {
    restore?.();
  }
}

const { seed: first = 1, runs = values.seed === undefined ? RUNS : 1 } = values;
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
  const result = await run(plan, values.trace === true);
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
if (worst !== undefined && values.shrink) {
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
