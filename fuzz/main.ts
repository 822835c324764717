/**
 * Fuzzes the doors that bytes of others come in by.
 *
 *   npm run fuzz -- [--inputs N] [--seed N] [--surface NAME] [--json] [--keep DIR]
 *
 * Exit code 1 when anything was found: each finding is a file that the tests give in again from then on.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { hashOf } from "./random.ts";
import { SURFACES, surfaceOf } from "./surfaces/mod.ts";
import type { FuzzOutcome } from "./types.ts";
import { watched } from "./watch.ts";

const { values } = parseArgs({
  options: {
    inputs: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    surface: { type: "string" },
    json: { type: "boolean", default: false },
    keep: { type: "string", default: join(import.meta.dirname, "../test/vectors/fuzz") },
  },
});
/** Of all inputs of a surface: coverage makes each of them several times as slow. */
const GUIDED = 0.05;

const inputs = Number(values.inputs);
const seed = Number(values.seed);
if (!(Number.isSafeInteger(inputs) && inputs > 0 && Number.isSafeInteger(seed))) {
  process.stderr.write("--inputs and --seed are whole numbers\n");
  process.exit(2);
}
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
