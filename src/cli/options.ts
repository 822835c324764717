import { Command, InvalidArgumentError, Option } from "commander";
import { PAGE_CACHE_BYTES_MAX, POOL_BYTES_MAX } from "../agent/mod.ts";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import { ENGINE_NAMES, POLICY_NAMES } from "../pages/mod.ts";
import { PUSH_ORDERS } from "../paging/mod.ts";
import { formatSize } from "../qemu/mod.ts";
import { duration, size } from "./units.ts";

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

/** `--engine NAME`, of whoever starts a source relay. */
export function engineOption(): Option {
  return new Option(
    "--engine <name>",
    "in which forms pages cross: the best measured, as QEMU sent them, or as in a paper",
  )
    .choices([...ENGINE_NAMES])
    .default("auto");
}

/** `--page-policy NAME`, which goes with `--engine`. */
export function pagePolicyOption(): Option {
  return new Option("--page-policy <name>", "in which order pages leave; auto: the engine's own")
    .choices([...POLICY_NAMES])
    .default("auto");
}

/** `--postcopy-reconnect-for TIME`, of whoever starts relays. 0: without end. */
export function postcopyReconnectOption(): Option {
  return new Option(
    "--postcopy-reconnect-for <time>",
    "post-copy: how long a lost link is tried again, such as 1h, before the guest is given up; 0s: without end",
  )
    .argParser(parsed(duration))
    .default(0, "0s");
}

/** `--push-order NAME`, of whoever starts a source relay. */
export function pushOrderOption(): Option {
  return new Option(
    "--push-order <name>",
    "post-copy: in which order pages leave that the guest has not asked for; auto: the best measured",
  )
    .choices([...PUSH_ORDERS])
    .default("auto");
}

/** Bytes of `--page-cache SIZE`. Errors: USAGE naming the accepted forms and the most. */
export function pageCache(text: string): number {
  return pagesUpTo(PAGE_CACHE_BYTES_MAX, text);
}

/** Bytes of `--pool SIZE`. Errors: USAGE naming the accepted forms and the most. */
export function pool(text: string): number {
  return pagesUpTo(POOL_BYTES_MAX, text);
}

/** Bytes of whole pages. */
function pagesUpTo(bytesMax: number, text: string): number {
  const bytes = size(text);
  if (bytes <= bytesMax) return bytes - (bytes % 4096);
  throw new GodwitError("USAGE", { problem: `${text} is more than ${formatSize(bytesMax)}` });
}

/** A command that speaks to the agent: `new AgentClient(flags)`. */
export function agentCommand(name: string, about: string): Command {
  return new Command(name)
    .description(about)
    .addOption(socketOption())
    .addOption(
      new Option("--api <host:port>", "an agent over TCP, with --tls (default: GODWIT_API)").conflicts(
        "socket",
      ),
    )
    .addOption(new Option("--tls <dir>", "the folder of your certificate, for --api (default: GODWIT_TLS)"));
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
