import { type Command, InvalidArgumentError, Option } from "commander";
import { STRATEGIES, TIMEOUT_ACTIONS } from "../migration/mod.ts";
import { AgentClient } from "./client.ts";
import { follow } from "./follow.ts";
import { agentCommand, example, jsonOption, note, parsed, print, printJson } from "./options.ts";
import { exitOf, reportText } from "./outcome.ts";
import { duration, rate } from "./units.ts";

interface Flags {
  socket?: string;
  to: string;
  strategy: string;
  downtimeLimit: number;
  bandwidth: number;
  timeout: number;
  onTimeout: string;
  json?: boolean;
}

/** `godwit migrate VM --to HOST:PORT` */
export function migrateCommand(): Command {
  const command = agentCommand("migrate", "move a VM of this host to another host")
    .argument("<vm>")
    .requiredOption("--to <host:port>", "the other host's agent (its --peer address)", address)
    .addOption(new Option("--strategy <name>", "how").choices([...STRATEGIES]).default("precopy"))
    .option("--downtime-limit <time>", "longest stop that is aimed for, such as 300ms", parsed(downtime), 300)
    .option("--bandwidth <rate>", "cap on the link, such as 1Gbit; 0: none", parsed(rate), 0)
    .option("--timeout <time>", "then --on-timeout happens, such as 10m (default: none)", parsed(duration), 0)
    .addOption(
      new Option("--on-timeout <action>", "abort; stop the guest and finish; go to post-copy")
        .choices([...TIMEOUT_ACTIONS])
        .default("abort"),
    )
    .addOption(jsonOption())
    .action(migrate);
  command.addHelpText(
    "after",
    `
Ctrl-C cancels and waits for the result, which is exact; a second Ctrl-C leaves the migration running.
Exit codes: 0 moved, 2 usage, 3 refused, 4 aborted with the guest safe on the source, 5 in doubt.`,
  );
  return example(
    command,
    "godwit migrate web --to 127.0.0.1:7701",
    "godwit migrate web --to beta:7700 --strategy hybrid --bandwidth 1Gbit --json",
  );
}

async function migrate(vm: string, flags: Flags): Promise<void> {
  const client = new AgentClient(flags.socket);
  const { id } = await client.post<{ id: string }>("/v1/migrations", {
    ...{ vm, to: flags.to, strategy: flags.strategy, downtimeLimitMs: flags.downtimeLimit },
    ...{ bandwidthBytesPerSec: flags.bandwidth, timeoutMs: flags.timeout, onTimeout: flags.onTimeout },
  });
  const report = await follow(client, id, (count, view) => {
    if (count > 1) return "leave";
    view.note("cancelling; Ctrl-C again leaves the migration running");
    client
      .post(`/v1/migrations/${id}/cancel`)
      .catch((error: Error) => view.note(`not cancelled: ${error.message}`));
    return "wait";
  });
  if (report === null) {
    note(`The migration goes on. See it with: godwit watch ${id}`);
    return;
  }
  process.exitCode = exitOf(report);
  if (flags.json) printJson(report);
  else print(reportText(report));
}

function downtime(text: string): number {
  const ms = duration(text);
  const MS_MAX = 2_000_000; // QEMU's own limit of downtime-limit; and with 0 it would not wait for convergence at all
  if (ms < 1 || ms > MS_MAX) throw new InvalidArgumentError(`must be from 1ms to ${MS_MAX}ms`);
  return ms;
}

function address(text: string): string {
  if (!/:\d{1,5}$/.test(text)) throw new InvalidArgumentError("must be HOST:PORT");
  return text;
}
