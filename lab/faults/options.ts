import { Command, CommanderError, Option } from "commander";

export interface FaultsOptions {
  /** Parts of names of cases; none: all. */
  readonly only: readonly string[];
  readonly groups: readonly string[];
  readonly system: "godwit" | "stock" | null;
  /** How versions begin; none: the newest QEMU there is. "all": each. */
  readonly qemus: readonly string[];
  /** Result file to keep, after each case. */
  readonly json: string | null;
  readonly slice: boolean;
  readonly list: boolean;
  readonly page: boolean;
}

/**
 * The command line of the matrix (without node and script).
 * @returns the options, or the exit code when there is nothing to do: 0 after --help, 2 after a usage error, both said
 */
export function faultsOptions(args: readonly string[]): FaultsOptions | number {
  const command = new Command("npm run faults --")
    .description("Real faults on real guests: kills, cut links, full disks, and what becomes of the guest.")
    .option(
      "--only <text>",
      "the case of this number, or those whose names contain this; may be given again",
      more,
      [],
    )
    .option("--group <name>", "cases of this group; may be given again", more, [])
    .addOption(new Option("--system <name>", "cases of this system").choices(["godwit", "stock"]))
    .option(
      "--qemu <version>",
      "QEMU, by the beginning of its version, or all (default: the newest)",
      more,
      [],
    )
    .option("--slice", "the few cases that npm test has, too")
    .option("--json <file>", "keep the result there, after each case; rows of other cases in it stay")
    .option("--list", "name the cases and run none")
    .option("--page", "write docs/faults.md from lab/faults/results, and run nothing")
    .addHelpText(
      "after",
      "\nExit codes: 0 every promise was kept; 1 one was not, or a case could not be set up; 2 usage.",
    )
    .exitOverride()
    .showHelpAfterError("(see --help)");
  try {
    command.parse([...args], { from: "user" });
    const flags = command.opts<Record<string, unknown>>();
    return {
      only: flags["only"] as string[],
      groups: flags["group"] as string[],
      system: (flags["system"] as "godwit" | "stock" | undefined) ?? null,
      qemus: flags["qemu"] as string[],
      json: (flags["json"] as string | undefined) ?? null,
      slice: flags["slice"] === true,
      list: flags["list"] === true,
      page: flags["page"] === true,
    };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}

function more(text: string, before: string[]): string[] {
  return [...before, text];
}
