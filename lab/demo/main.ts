/**
 * `npm run demo`: two agents as two hosts, a lab guest that writes, and moves between them, judged by the guest's own
 * oracle. It does what a user would do, with the CLI, and takes everything away again, also on Ctrl-C.
 *
 *   node lab/demo/main.ts [--json] [--strategy S] ...   (see --help)
 */
import { constants } from "node:os";
import { EXIT, type GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import { openLabHosts } from "../host/mod.ts";
import { Demo } from "./demo.ts";
import { type DemoOptions, demoOptions } from "./options.ts";
import { Sandbox, type Stray } from "./sandbox.ts";
import { say } from "./story.ts";

/** Why the demo was told to end early, and with which code it then exits. */
interface Interruption {
  readonly why: string;
  readonly exitCode: number;
}

async function main(options: DemoOptions): Promise<number> {
  const interrupted = new AbortController();
  let interruption: Interruption | null = null;
  const interrupt = (why: string, exitCode: number): void => {
    if (interruption !== null) return; // cleaning up already
    interruption = { why, exitCode };
    interrupted.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => interrupt(signal, 128 + constants.signals[signal]));
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error) => interrupt(error.message, EXIT.bug)); // its reader has gone (head, less)

  const sandbox = new Sandbox();
  let closeNetwork = (): void => {};
  let strays: readonly Stray[] = [];
  let exitCode: number = EXIT.done;
  try {
    const network = openLabHosts();
    closeNetwork = network.close;
    const demo = new Demo({ options, sandbox, network, signal: interrupted.signal });
    await demo.run().catch((error: unknown) => {
      exitCode = interruption === null ? tellFailure(error, demo) : tellInterruption(interruption);
    });
  } finally {
    strays = await sandbox.close();
    closeNetwork();
  }
  if (exitCode !== EXIT.done || strays.length === 0) return exitCode;
  const names = strays.map(({ pid, command }) => `${pid} (${command})`).join(", ");
  say(`The demo's agents left processes behind, which they should not: ${names}. They are ended now.`);
  return EXIT.bug;
}

function tellInterruption({ why, exitCode }: Interruption): number {
  say(`\nThe demo ends early (${why}): its guest, agents, namespaces and files are removed.`);
  return exitCode;
}

/**
 * @returns the exit code
 * @throws whatever is no expected failure
 */
function tellFailure(error: unknown, demo: Demo): number {
  for (const { name, warnings } of demo.agents)
    if (warnings !== "") say(`\nWhat ${name}'s agent warned of:\n${warnings}`);
  if (!isGodwitError(error)) throw error;
  say(`\nThe demo failed: ${error.message}\n${error.wayOut}`);
  return error.code === "COMMAND_FAILED"
    ? ((error as GodwitError<"COMMAND_FAILED">).fields.exitCode ?? error.exitCode)
    : error.exitCode;
}

const options = demoOptions(process.argv.slice(2));
process.exitCode = typeof options === "number" ? options : await main(options);
