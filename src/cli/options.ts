import { Command, InvalidArgumentError, Option } from "commander";
import { isGodwitError } from "../errors/mod.ts";

/** `--socket PATH`, which every command that speaks to the agent has. */
export function socketOption(): Option {
  return new Option(
    "--socket <path>",
    "the agent's socket (default: GODWIT_SOCKET, else the default agent's)",
  );
}

export function jsonOption(): Option {
  return new Option("--json", "print JSON on stdout");
}

/** A command that speaks to the agent. */
export function agentCommand(name: string, about: string): Command {
  return new Command(name).description(about).addOption(socketOption());
}

/** Makes a unit parser's USAGE error one that names the option, too. */
export function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (isGodwitError(error)) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

export function example(command: Command, ...lines: string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}\n`);
}

/** Data goes to stdout; everything that only accompanies it goes to stderr. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}
