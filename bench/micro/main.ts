/**
 * The micro benches: what each step of a page's way costs, as a ratio to copying the page's bytes once, on the same
 * machine in the same run.
 */
import { Command, Option } from "commander";
import { readFlags } from "../../lab/mod.ts";
import { encodingFigures } from "./encodings.ts";
import { engineFigures } from "./engine.ts";
import { type Figure, FULL, TINY } from "./figures.ts";
import { kernelFigures } from "./kernels.ts";
import { linkFigures } from "./link.ts";
import { streamFigures } from "./stream.ts";

const BENCHES = {
  kernels: kernelFigures,
  encodings: encodingFigures,
  engine: engineFigures,
  stream: streamFigures,
  link: linkFigures,
} as const;
type Bench = keyof typeof BENCHES;

const known = Object.keys(BENCHES) as Bench[];
const values = readFlags<{ only?: Bench; json?: true; tiny?: true }>(
  new Command("npm run bench:micro --")
    .description("What each step of a page's way costs, as a ratio to copying the page once.")
    .addOption(new Option("--only <bench>", "only this one").choices(known))
    .option("--json", "one JSON object on stdout")
    .option("--tiny", "shows that they run, and nothing else")
    .addHelpText("after", "\nExample: npm run bench:micro -- --only kernels"),
);
const chosen = values.only === undefined ? known : [values.only];

const all: Partial<Record<Bench, readonly Figure[]>> = {};
for (const name of chosen) all[name] = await BENCHES[name](values.tiny ? TINY : FULL);

if (values.json) console.log(JSON.stringify(all));
else {
  const row = (cells: readonly string[]): string =>
    `${cells[0]!.padEnd(48)}${cells
      .slice(1, 4)
      .map((cell) => cell.padStart(9))
      .join("")}  ${cells[4]}`;
  console.log(row(["", "GB/s", "best", "of copy", ""]));
  for (const [name, figures] of Object.entries(all))
    for (const { name: what, bytesPerSec, bestBytesPerSec, ofCopy, note = "" } of figures) {
      const gigabytes = (rate: number): string => (rate / 1e9).toFixed(2);
      console.log(
        row([
          `${name}: ${what}`,
          gigabytes(bytesPerSec),
          gigabytes(bestBytesPerSec),
          ofCopy.toFixed(2),
          note,
        ]),
      );
    }
}
