import { type Command, InvalidArgumentError, Option } from "commander";
import { DOWNTIME_LIMIT_MS_MAX } from "../agent/mod.ts";
import { STRATEGIES, TIMEOUT_ACTIONS } from "../migration/mod.ts";
import { type AgentAt, AgentClient } from "./client.ts";
import { follow } from "./follow.ts";
import {
  agentCommand,
  engineOption,
  example,
  jsonOption,
  note,
  pageCache,
  pagePolicyOption,
  parsed,
  pool,
  postcopyReconnectOption,
  print,
  printJson,
  pushOrderOption,
} from "./options.ts";
import { exitOf, reportText } from "./outcome.ts";
import { type Bandwidth, bandwidth, duration } from "./units.ts";

interface Flags extends AgentAt {
  to: string;
  strategy: string;
  downtimeLimit: number;
  downtimeRamp?: number;
  bandwidth: Bandwidth;
  engine: string;
  pagePolicy: string;
  pageCache?: number;
  pushOrder: string;
  pool?: number;
  postcopyReconnectFor: number;
  forcePostcopy?: boolean;
  balloon?: boolean;
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
    .option(
      "--downtime-ramp <time>",
      "the limit may grow to this while pre-copy does not end (default: it stays)",
      parsed(downtime),
    )
    .addOption(
      new Option(
        "--bandwidth <rate>",
        "cap on the link, such as 1Gbit; 100Mbit..1Gbit: begins low and follows the guest's writing; 0: none",
      )
        .argParser(parsed(bandwidth))
        .default({ minBytesPerSec: 0, maxBytesPerSec: 0 } satisfies Bandwidth, "0"),
    )
    .addOption(engineOption())
    .addOption(pagePolicyOption())
    .option(
      "--page-cache <size>",
      "memory for the pages that the target has, at each host, such as 64MiB; 0B: none (default: the guest's RAM, at most 512MiB)",
      parsed(pageCache),
    )
    .addOption(pushOrderOption())
    .option(
      "--pool <size>",
      "post-copy: memory for pages taken from the stopped guest, such as 128MiB; 0B: QEMU serves them itself (default: the guest's RAM, at most 256MiB)",
      parsed(pool),
    )
    .addOption(postcopyReconnectOption())
    .option("--force-postcopy", "go to post-copy even when the link was lost during this move's pre-copy")
    .option("--balloon", "first take from the guest what it does not need; it gets that back after the move")
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
    "godwit migrate web --to beta:7700 --bandwidth 100Mbit..1Gbit --downtime-limit 100ms --downtime-ramp 2s --timeout 5m",
    "godwit migrate web --to beta:7700 --engine mecom --page-cache 64MiB",
  );
}

async function migrate(vm: string, flags: Flags): Promise<void> {
  const client = new AgentClient(flags);
  const { id } = await client.post<{ id: string }>("/v1/migrations", {
    ...{ vm, to: flags.to, strategy: flags.strategy, downtimeLimitMs: flags.downtimeLimit },
    downtimeLimitMaxMs: flags.downtimeRamp ?? 0,
    bandwidthBytesPerSec: flags.bandwidth.maxBytesPerSec,
    bandwidthMinBytesPerSec: flags.bandwidth.minBytesPerSec,
    ...{ engine: flags.engine, pagePolicy: flags.pagePolicy, pageCacheBytes: flags.pageCache ?? null },
    ...{ pushOrder: flags.pushOrder, poolBytes: flags.pool ?? null },
    postcopyReconnectForMs: flags.postcopyReconnectFor,
    forcePostcopy: flags.forcePostcopy ?? false,
    balloon: flags.balloon ?? false,
    ...{ timeoutMs: flags.timeout, onTimeout: flags.onTimeout },
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
  if (ms < 1 || ms > DOWNTIME_LIMIT_MS_MAX)
    throw new InvalidArgumentError(`must be from 1ms to ${DOWNTIME_LIMIT_MS_MAX}ms`);
  return ms;
}

function address(text: string): string {
  if (!/:\d{1,5}$/.test(text)) throw new InvalidArgumentError("must be HOST:PORT");
  return text;
}
