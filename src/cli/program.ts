import { Command, CommanderError } from "commander";
import { VERSION } from "../agent/mod.ts";
import { EXIT, isGodwitError } from "../errors/mod.ts";
import { agentRunCommand } from "./agentRun.ts";
import { auditCommand } from "./audit.ts";
import { benchCommand } from "./bench.ts";
import { doctorCommand } from "./doctor.ts";
import { dumpCommand } from "./dump.ts";
import { migrateCommand } from "./migrate.ts";
import { cancelCommand, historyCommand, postcopyCommand, statusCommand, watchCommand } from "./migrations.ts";
import { note } from "./options.ts";
import { pkiCommand } from "./pki.ts";
import { recoverCommand } from "./recover.ts";
import { relayCommand } from "./relay.ts";
import { vmCommand } from "./vm.ts";

/** The whole command line. */
export function program(): Command {
  const root = new Command("godwit")
    .description("moves a running QEMU VM to another host so that its users do not notice")
    .version(VERSION)
    .addCommand(agentRunCommand())
    .addCommand(vmCommand())
    .addCommand(migrateCommand())
    .addCommand(watchCommand())
    .addCommand(statusCommand())
    .addCommand(postcopyCommand())
    .addCommand(cancelCommand())
    .addCommand(recoverCommand())
    .addCommand(historyCommand())
    .addCommand(auditCommand())
    .addCommand(doctorCommand())
    .addCommand(relayCommand())
    .addCommand(pkiCommand())
    .addCommand(dumpCommand())
    .addCommand(benchCommand());
  everyCommand(root, (command) => command.exitOverride().showHelpAfterError("(see --help)"));
  return root;
}

/** Runs a command line (without node and script). Returns the exit code; bugs throw. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync([...args], { from: "user" });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (!isGodwitError(error)) throw error;
    note(`godwit: ${error.message}\n${error.wayOut}`);
    return error.exitCode;
  }
}

function everyCommand(command: Command, apply: (command: Command) => void): void {
  apply(command);
  for (const sub of command.commands) everyCommand(sub, apply);
}
