import { Command, CommanderError, Option } from "commander";
import { jsonOption, parsed } from "../../src/cli/options.ts";
import { rate } from "../../src/cli/units.ts";
import { STRATEGIES, type Strategy } from "../../src/migration/mod.ts";
import { whole } from "../commandLine.ts";
import { MANNERS, type Manner } from "../guest/mod.ts";

export interface DemoOptions {
  /** null: a move by each. */
  readonly strategy: Strategy | null;
  readonly memoryMib: number;
  readonly setMib: number;
  /** Page writes per second of the guest. */
  readonly pagesPerSec: number;
  readonly mode: Manner;
  /** The proof that the oracle sees: so long after its start one byte of the guest's memory is changed; 0: never. */
  readonly breakAfterSec: number;
  /** As the user wrote it, checked; null: no cap. */
  readonly bandwidth: string | null;
  readonly json: boolean;
}

interface Flags {
  strategy?: Strategy;
  mem: number;
  ws: number;
  rate: number;
  mode: Manner;
  break: number;
  bandwidth?: string;
  json?: boolean;
}

/** What the guest's kernel and the oracle's own tables take of its memory. */
const BESIDE_THE_SET_MIB = 80;
const MEMORY_MIB = { min: 128, max: 1 << 20 } as const;

/**
 * The demo's command line (without node and script).
 * @returns the options, or the exit code when there is nothing to do: 0 after --help, 2 after a usage error, both said
 */
export function demoOptions(args: readonly string[]): DemoOptions | number {
  const command = demoCommand();
  try {
    command.parse([...args], { from: "user" });
    const flags = command.opts<Flags>();
    if (flags.ws > flags.mem - BESIDE_THE_SET_MIB) {
      const most = flags.mem - BESIDE_THE_SET_MIB;
      command.error(
        `error: --ws ${flags.ws} is too large: a guest of ${flags.mem} MiB has room for ${most} MiB; raise --mem`,
      );
    }
    return {
      strategy: flags.strategy ?? null,
      memoryMib: flags.mem,
      setMib: flags.ws,
      pagesPerSec: flags.rate,
      mode: flags.mode,
      breakAfterSec: flags.break,
      bandwidth: flags.bandwidth ?? null,
      json: flags.json === true,
    };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}

function demoCommand(): Command {
  return new Command("npm run demo --")
    .description(
      "A Linux guest crosses between two hosts and back while it writes, and checks its own memory after each move.",
    )
    .addOption(
      new Option("--strategy <name>", "one move by this strategy (default: one by each)").choices([
        ...STRATEGIES,
      ]),
    )
    .option("--mem <MiB>", "memory of the guest", whole(MEMORY_MIB.min, MEMORY_MIB.max), 512)
    .option("--ws <MiB>", "working set that it writes and verifies", whole(1, MEMORY_MIB.max), 64)
    .option("--rate <pages/s>", "page writes per second", whole(0, 10_000_000), 4000)
    .addOption(
      new Option("--mode <manner>", "how it writes; lab/guest/README.md says more")
        .choices([...MANNERS])
        .default("words"),
    )
    .option("--bandwidth <rate>", "cap on the link, such as 1Gbit (default: none)", checkedRate)
    .option(
      "--break <s>",
      "damage one byte of the guest after so many seconds: the demo must fail",
      whole(0, 3_600),
      0,
    )
    .addOption(jsonOption().default(undefined, "a table for people"))
    .addHelpText(
      "after",
      `
With --json stdout carries one report per move, one JSON line each; the story goes to stderr in any case.
npm prints two lines of its own on stdout: npm run --silent demo -- --json
As root the hosts are two network namespaces, otherwise two agents on loopback, where post-copy is left out, and said
to be, if the system does not let this user's QEMU have userfaultfd. Nothing is left behind.
Exit codes: 0 every move completed and the oracle found no difference; 2 usage; else the reason is said.`,
    )
    .exitOverride()
    .showHelpAfterError("(see --help)");
}

/** The CLI gets it as it was written; here it is only looked at early. */
function checkedRate(text: string): string {
  parsed(rate)(text);
  return text;
}
