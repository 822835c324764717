/** `godwit bench compare A B`: whether two results of the bench differ by more than noise. */
import { Command } from "commander";
import type { Metric } from "../bench/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import { example, jsonOption, print, printJson } from "./options.ts";

interface CompareFlags {
  readonly json?: boolean;
  readonly metric?: readonly string[];
  readonly failIfSlower?: boolean;
}

export function benchCommand(): Command {
  return new Command("bench").description("Look at results of the bench").addCommand(compareCommand());
}

function compareCommand(): Command {
  const command = new Command("compare")
    .description("Tell two results of `npm run bench` apart statistically: B against A")
    .argument("<a>", "the JSON file of a result")
    .argument("<b>", "that of another one")
    .addOption(jsonOption())
    .option("--metric <names...>", "compare these figures, such as totalTimeMs, instead of the usual ones")
    .option("--fail-if-slower", "exit code 1 when a Godwit system is worse in B by more than noise")
    .action(compare);
  return example(
    command,
    "godwit bench compare before.json after.json",
    "godwit bench compare before.json after.json --fail-if-slower --metric totalTimeMs blackoutMs",
  );
}

async function compare(a: string, b: string, flags: CompareFlags): Promise<void> {
  // Only here: every other command would wait for its libraries.
  const bench = await import("../bench/mod.ts");
  const known: readonly Metric[] = [...bench.FIGURE_NAMES, "failed"];
  const metrics = (flags.metric ?? bench.METRICS).map((name) => {
    const metric = known.find((one) => one === name);
    if (metric === undefined)
      throw new GodwitError("USAGE", {
        problem: `there is no metric ${name}; known are: ${known.join(", ")}`,
      });
    return metric;
  });
  const [first, second] = [await bench.readResult(a), await bench.readResult(b)];
  const compared = bench.compareResults(first, second, { metrics }, { a, b });
  if (flags.json) printJson(compared);
  else print(bench.comparisonText(compared));
  const worse = compared.rows.some(({ family, verdict }) => family === "godwit" && verdict === "worse");
  if (flags.failIfSlower && worse) process.exitCode = 1;
}
