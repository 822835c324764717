import { Command, CommanderError, InvalidArgumentError } from "commander";
import { whole } from "../../lab/mod.ts";

export interface BenchOptions {
  /** Names of cells and groups; null: those of quick, or all. */
  readonly cells: readonly string[] | null;
  readonly full: boolean;
  /** null: what each cell is measured with. */
  readonly systems: readonly string[] | null;
  readonly repeats: number;
  readonly seed: number;
  /** How its version begins; null: the newest there is. */
  readonly qemu: string | null;
  /** Folder for the result and its report. */
  readonly out: string;
  readonly json: boolean;
  readonly list: boolean;
  readonly loopback: boolean;
  readonly floor: boolean;
}

interface Flags {
  quick?: boolean;
  full?: boolean;
  cells?: string[];
  systems?: string[];
  repeat: number;
  seed: number;
  qemu?: string;
  out: string;
  json?: boolean;
  list?: boolean;
  loopback?: boolean;
  floor?: boolean;
}

export const RESULTS_FOLDER = "bench/results";

/**
 * The bench's command line (without node and script).
 * @returns the options, or the exit code when there is nothing to do: 0 after --help, 2 after a usage error, both said
 */
export function benchOptions(args: readonly string[]): BenchOptions | number {
  const command = benchCommand();
  try {
    command.parse([...args], { from: "user" });
    const flags = command.opts<Flags>();
    const scopes = [flags.quick === true, flags.full === true, flags.cells !== undefined];
    if (scopes.filter(Boolean).length > 1)
      command.error("error: --quick, --full and --cells exclude each other: give one of them");
    return {
      cells: flags.cells ?? null,
      full: flags.full === true,
      systems: flags.systems ?? null,
      repeats: flags.repeat,
      seed: flags.seed,
      qemu: flags.qemu ?? null,
      out: flags.out,
      json: flags.json === true,
      list: flags.list === true,
      loopback: flags.loopback === true,
      floor: flags.floor === true,
    };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}

function benchCommand(): Command {
  return new Command("npm run bench --")
    .description(
      "Measures Godwit against QEMU's own ways of moving: the same guest, the same shaped link, in the same minutes.",
    )
    .option("--quick", "a few small cells, under 5 minutes (this is the default)")
    .option("--full", "every cell with every system: hours")
    .option("--cells <names>", "these cells or groups, with commas between them", names)
    .option(
      "--systems <names>",
      "these systems, with commas between them (default: what each cell has)",
      names,
    )
    .option("--repeat <n>", "how often each system moves each cell's guest", whole(1, 1000), 3)
    .option("--seed <n>", "of the order and of what the guests write", whole(0, 2 ** 31 - 1), 1)
    .option("--qemu <version>", "a QEMU whose version begins so (default: the newest that set-up has found)")
    .option("--out <folder>", "where the result and its report are written", RESULTS_FOLDER)
    .option("--json", "the result itself on stdout instead of a table")
    .option("--list", "what cells and systems there are, and no measuring")
    .option(
      "--floor",
      "of each cell also the least that has to cross: its memory, packed as well as possible (minutes per cell)",
    )
    .option("--loopback", "both hosts on loopback even with root: no network for guests")
    .addHelpText(
      "after",
      `
Examples:
  npm run bench                                           the quick one
  npm run bench -- --cells words,idle --repeat 5          two cells with the systems that belong to them
  npm run bench -- --cells curve:linkRate --systems stock,godwit-precopy
  npm run bench -- --cells loads --qemu 10.0

Groups: quick, writers, papers, loads, postcopy, pushorders, hybrid, freeable, curves, curve:dirtyRate, curve:linkRate, curve:ram, curve:guests. --list names the rest.
As root the hosts are network namespaces; otherwise they are on loopback, and loads with a network are skipped.
Progress goes to stderr, the table (or with --json the result) to stdout; npm run --silent keeps npm's own lines away.
Ctrl-C ends the run cleanly, and what was measured is written all the same.
Exit codes: 0 measured, failed moves included (they are results); 1 a bug; 2 usage; 3 refused; 130 interrupted.`,
    )
    .exitOverride()
    .showHelpAfterError("(see --help)");
}

function names(text: string): string[] {
  const found = text.split(",").map((name) => name.trim());
  if (found.includes("")) throw new InvalidArgumentError("must be names with commas between them");
  return found;
}
