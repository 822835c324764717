/**
 * Fuzzes the doors that bytes of others come in by.
 *
 * Exit code 1 when anything was found: each finding is a file that the tests give in again from then on.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { readFlags, whole } from "../lab/mod.ts";
import { hashOf } from "./random.ts";
import { SURFACES, surfaceOf } from "./surfaces/mod.ts";
import type { FuzzOutcome } from "./types.ts";
import { watched } from "./watch.ts";

const values = readFlags<{ inputs: number; seed: number; surface?: string; json?: true; keep: string }>(
  new Command("npm run fuzz --")
    .description("Gives changed inputs to each place where bytes of others come in.")
    .option("--inputs <n>", "how many in all", whole(1, 1_000_000_000), 1_000_000)
    .option("--seed <n>", "of everything that is changed", whole(0, 1_000_000_000), 1)
    .addOption(
      new Option("--surface <name>", "only this one").choices(SURFACES.map((surface) => surface.name)),
    )
    .option("--json", "one JSON list on stdout")
    .option("--keep <folder>", "where findings are kept", join(import.meta.dirname, "../test/vectors/fuzz"))
    .addHelpText(
      "after",
      `
Example: npm run fuzz -- --inputs 20000 --seed 7 --surface link
Exit codes: 0 nothing was found; 1 something was, and is kept; 2 usage. docs/fuzzing.md says more.`,
    ),
);
/** Of all inputs of a surface: coverage makes each of them several times as slow. */
const GUIDED = 0.05;

const { inputs, seed } = values;
const surfaces = values.surface === undefined ? SURFACES : [surfaceOf(values.surface)];
const weights = surfaces.reduce((sum, { weight }) => sum + weight, 0);
const outcomes: FuzzOutcome[] = [];
for (const { name, weight } of surfaces) {
  const share = Math.ceil((inputs * weight) / weights);
  const startedMs = performance.now();
  const show = (done: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${name}: ${done} of ${share}   `);
  };
  const result = await watched({ surface: name, inputs: share, seed, guided: GUIDED }, show);
  const findings = result.findings.map(({ input, what }) => {
    mkdirSync(values.keep, { recursive: true });
    const file = join(values.keep, `${name}-${hashOf(input).toString(16).padStart(8, "0")}`);
    writeFileSync(file, input);
    return { input: file, what };
  });
  const { accepted, rejected, blocks, corpus, cpuSec } = result;
  outcomes.push({ surface: name, inputs: result.inputs, rejected, accepted, findings });
  if (values.json) continue;
  const seconds = (performance.now() - startedMs) / 1000;
  const rate = `${seconds.toFixed(0)} s, ${Math.round(result.inputs / Math.max(cpuSec, 0.1))} per s of CPU time`;
  process.stdout.write(
    `\r${name}: ${result.inputs} inputs (${accepted} accepted, ${rejected} rejected), ${findings.length} findings; ${rate}; ${blocks} blocks, corpus of ${corpus}\n`,
  );
  for (const { input, what } of findings) process.stdout.write(`  ${what}\n    ${input}\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(outcomes)}\n`);
process.exitCode = outcomes.some(({ findings }) => findings.length > 0) ? 1 : 0;
