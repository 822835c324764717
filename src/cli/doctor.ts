import { Command } from "commander";
import { agentPaths, doctor } from "../agent/mod.ts";
import { EXIT } from "../errors/mod.ts";
import { example, jsonOption, print, printJson } from "./options.ts";
import { table } from "./show.ts";

/** `godwit doctor`: works without an agent. */
export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description("what this host lacks for Godwit, and how to get it")
    .option("--state-dir <dir>", "the agent's state folder to look at")
    .option("--qemu <binary>", "the QEMU to look at")
    .addOption(jsonOption())
    .action(async (flags: { stateDir?: string; qemu?: string; json?: boolean }) => {
      const { stateDir } = agentPaths({ stateDir: flags.stateDir });
      const qemu = flags.qemu === undefined ? {} : { qemu: { binary: flags.qemu, args: [] } };
      const findings = await doctor({ stateDir, ...qemu });
      if (findings.some((finding) => finding.state === "missing")) process.exitCode = EXIT.refused;
      if (flags.json) return printJson(findings);
      print(
        table(
          ["", "STATE", "FOUND"],
          findings.map((f) => [f.what, f.state, f.found]),
        ),
      );
      for (const finding of findings) if (finding.wayOut) print(`\n${finding.what}: ${finding.wayOut}`);
    });
  return example(command, "godwit doctor");
}
