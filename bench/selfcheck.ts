/**
 * Goal: the bench can be believed: it does not tell a commit from itself, and it tells an engine that was slowed on
 * purpose from this one.
 * Method: three runs of the quick cells by the command as users have it, the third with the relay's test hook, compared
 * as `godwit bench compare` does. Exit code 1 when either is wrong. About six minutes.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { readFlags } from "../lab/mod.ts";
import { type ComparedRow, compareResults, comparisonText, readResult } from "../src/bench/mod.ts";

/** Two cells tell nothing apart with fewer than four repeats. */
const ARGS = ["--quick", "--systems", "stock,godwit-precopy", "--repeat", "4"];
/** Per frame of up to 128 KiB, which takes the link of the slower cell about 5000: less would hide behind the link. */
const SLOW_US = 8000;

async function run(name: string, seed: number, folder: string, slowUs?: number): Promise<string> {
  process.stderr.write(`\n== ${name}\n`);
  const out = join(folder, name);
  const env = { ...process.env, ...(slowUs === undefined ? {} : { GODWIT_TEST_SLOW_US: `${slowUs}` }) };
  const args = [join(import.meta.dirname, "main.ts"), ...ARGS, "--seed", `${seed}`, "--out", out];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  // A Ctrl-C reaches the child as well, which cleans up and ends.
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`the run "${name}" ended with ${code}`);
  return join(out, readdirSync(out).find((file) => file.endsWith(".json"))!);
}

function differs(rows: readonly ComparedRow[]): ComparedRow[] {
  return rows.filter(({ verdict }) => verdict === "better" || verdict === "worse");
}

process.on("SIGINT", () => undefined);
const command = new Command("npm run bench:selfcheck --")
  .description("Whether the bench can be believed: three runs of the quick cells, about six minutes.")
  .argument("[folder]", "keeps the three results; else they are removed")
  .addHelpText("after", "\nExample: npm run bench:selfcheck -- /tmp/selfcheck");
readFlags(command);
const [given] = command.args;
const folder = given ?? mkdtempSync(join(tmpdir(), "godwit-selfcheck-"));
try {
  const first = await run("first", 1, folder);
  const again = await run("again", 2, folder);
  const slowed = await run("slowed", 3, folder, SLOW_US);
  const [a, b, c] = [await readResult(first), await readResult(again), await readResult(slowed)];
  const same = compareResults(a, b, {}, { a: "first", b: "again" });
  const slower = compareResults(a, c, {}, { a: "first", b: "slowed" });
  console.log(`${comparisonText(same)}\n${comparisonText(slower)}`);
  const falseAlarms = differs(same.rows);
  const found = differs(slower.rows).some(
    ({ system, metric, verdict }) =>
      system === "godwit-precopy" && metric === "totalTimeMs" && verdict === "worse",
  );
  console.log(`one commit, two runs: ${falseAlarms.length === 0 ? "not told apart" : "TOLD APART"}`);
  console.log(`slowed by ${SLOW_US} us a frame: ${found ? "told apart, slower" : "NOT TOLD APART"}`);
  if (falseAlarms.length > 0 || !found) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  if (given === undefined) rmSync(folder, { recursive: true, force: true });
}
