import { Command, CommanderError, Option } from "commander";
import { whole } from "../commandLine.ts";
import { artefacts, type QemuArtefact } from "../setup/mod.ts";

export interface SoakOptions {
  readonly moves: number;
  readonly seed: number;
  /** The number of the first move: its plan is that of this move in a soak from the beginning. */
  readonly first: number;
  readonly memoryMib: number;
  readonly setMib: number;
  readonly sampleEach: number;
  /** In this move one byte of the guest's memory is changed, and the soak has to fail; 0: in none. */
  readonly breakIn: number;
  readonly qemu: QemuArtefact;
  /** Where the result is kept; null: nowhere. */
  readonly json: string | null;
}

interface Flags {
  moves: number;
  seed: number;
  first: number;
  qemu?: string;
  mem: number;
  ws: number;
  sampleEach: number;
  break: number;
  json?: string;
}

const NUMBER_MAX = 1_000_000;
const MEMORY_MIB = { min: 96, max: 65_536 } as const;
/** What the kernel, the oracle's tables and what a load fills take of the guest's memory. */
const BESIDE_THE_SET_MIB = 72;

/**
 * The soak's command line (without node and script).
 * @returns the options, or the exit code when there is nothing to do: 0 after --help, 2 after a usage error, both said
 */
export function soakOptions(args: readonly string[]): SoakOptions | number {
  const command = soakCommand();
  try {
    command.parse([...args], { from: "user" });
    const flags = command.opts<Flags>();
    if (flags.ws > flags.mem - BESIDE_THE_SET_MIB)
      command.error(`error: --ws ${flags.ws} is too large for a guest of ${flags.mem} MiB; raise --mem`);
    const { qemus } = artefacts();
    const qemu =
      flags.qemu === undefined ? qemus.at(-1) : qemus.find(({ version }) => version.startsWith(flags.qemu!));
    if (qemu === undefined)
      return command.error(
        `error: no QEMU ${flags.qemu}; there are ${qemus.map((q) => q.version).join(", ")}`,
      );
    const { moves, seed, first, mem, ws, sampleEach, json } = flags;
    return {
      ...{ moves, seed, first, memoryMib: mem, setMib: ws, sampleEach, qemu },
      ...{ breakIn: flags.break, json: json ?? null },
    };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}

function soakCommand(): Command {
  const number = (min: number, max = NUMBER_MAX) => whole(min, max);
  return new Command("npm run soak --")
    .description(
      "One guest moves back and forth between two agents, each time by another strategy, under another load, over another line, with another fault, and checks its memory after each move.",
    )
    .option("--moves <n>", "how many", number(1), 20)
    .option("--seed <n>", "of everything that happens", number(0), 1)
    .option("--first <n>", "begin with this move of the seed: to see one again", number(1), 1)
    .option("--qemu <version>", "such as 10.0 (default: the newest that is set up)")
    .option("--mem <MiB>", "memory of the guest", whole(MEMORY_MIB.min, MEMORY_MIB.max), 96)
    .option("--ws <MiB>", "working set that it writes and verifies", number(1), 8)
    .option("--sample-each <n>", "look at the agents' memory each so many moves", number(1), 10)
    .addOption(new Option("--json <file>", "keep everything that was seen there"))
    .option("--break <n>", "in this move damage one byte of the guest: the soak must fail", number(0), 0)
    .addHelpText(
      "after",
      `
Exit codes: 0 nothing was corrupt or lost, all settled, and the memory of the agents stayed flat; 1 not so; 2 usage.
Nothing is left behind. docs/soak.md says more.`,
    )
    .exitOverride()
    .showHelpAfterError("(see --help)");
}
