import type { Command } from "commander";
import type { MigrationStatusBody } from "../agent/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import type { Report } from "../migration/mod.ts";
import { type AgentAt, AgentClient } from "./client.ts";
import { follow } from "./follow.ts";
import { agentCommand, example, jsonOption, note, print, printJson } from "./options.ts";
import { exitOf, reportText } from "./outcome.ts";
import { progressLine } from "./progress.ts";
import { bytes, table, time } from "./show.ts";

interface Flags extends AgentAt {
  json?: boolean;
}

const at = (id: string) => `/v1/migrations/${encodeURIComponent(id)}`;

/** `godwit watch [ID]` */
export function watchCommand(): Command {
  const command = agentCommand("watch", "follow a migration to its end (default: the one that runs)")
    .argument("[id]")
    .addOption(jsonOption())
    .action(async (given: string | undefined, flags: Flags) => {
      const client = new AgentClient(flags);
      const id = given ?? (await theRunning(client));
      const report = await follow(client, id, () => "leave");
      if (report === null) return note("The migration goes on.");
      process.exitCode = exitOf(report);
      if (flags.json) printJson(report);
      else print(reportText(report));
    });
  return example(command, "godwit watch");
}

/** `godwit status [ID]` */
export function statusCommand(): Command {
  const command = agentCommand("status", "where a migration stands (default: all that run)")
    .argument("[id]")
    .addOption(jsonOption())
    .action(async (id: string | undefined, flags: Flags) => {
      const client = new AgentClient(flags);
      const found =
        id === undefined ? await running(client) : [await client.get<MigrationStatusBody>(at(id))];
      if (flags.json) return printJson(id === undefined ? found : found[0]);
      if (found.length === 0) return note("No migration runs.");
      for (const status of found) {
        const { report } = status;
        print(
          report === null ? `${status.id}  ${progressLine(status)}` : reportText(report as unknown as Report),
        );
      }
    });
  return example(command, "godwit status", "godwit status --json");
}

/** `godwit cancel ID` */
export function cancelCommand(): Command {
  const command = agentCommand(
    "cancel",
    "end a migration before its switchover; the guest goes on at the source",
  )
    .argument("[id]", "default: the one that runs")
    .action(async (given: string | undefined, flags: Flags) => {
      const client = new AgentClient(flags);
      const id = given ?? (await theRunning(client));
      await client.post(`${at(id)}/cancel`);
      note(`${id} is being cancelled; see it with: godwit watch ${id}`);
    });
  return example(command, "godwit cancel", "godwit cancel ID");
}

/** `godwit postcopy [ID]`: what the strategy hybrid does when told. */
export function postcopyCommand(): Command {
  const command = agentCommand("postcopy", "take a hybrid migration to post-copy now")
    .argument("[id]", "default: the one that runs")
    .action(async (given: string | undefined, flags: Flags) => {
      const client = new AgentClient(flags);
      const id = given ?? (await theRunning(client));
      await client.post(`${at(id)}/postcopy`);
      note(`${id} goes to post-copy`);
    });
  return example(command, "godwit postcopy");
}

/** `godwit history` */
export function historyCommand(): Command {
  const command = agentCommand("history", "reports of ended migrations, newest first")
    .option("--vm <name>", "only of this VM")
    .option("--limit <n>", "at most so many", "20")
    .addOption(jsonOption())
    .action(async (flags: Flags & { vm?: string; limit: string }) => {
      const query = new URLSearchParams({
        limit: flags.limit,
        ...(flags.vm !== undefined && { vm: flags.vm }),
      });
      const reports = await new AgentClient(flags).get<Report[]>(`/v1/history?${query}`);
      if (flags.json) return reports.forEach(printJson);
      const rows = reports.map((r) => [
        ...[
          r.startedAt,
          r.id,
          r.vm ?? "-",
          r.strategy ?? "-",
          r.status,
          time(r.totalTimeMs),
          time(r.downtimeMs),
        ],
        ...[time(r.blackoutMs), bytes(r.wireBytes.forward), r.error?.code ?? "-"],
      ]);
      const header = [
        "STARTED",
        "ID",
        "VM",
        "STRATEGY",
        "STATUS",
        "TOTAL",
        "DOWNTIME",
        "BLACKOUT",
        "WIRE",
        "ERROR",
      ];
      print(table(header, rows));
    });
  return example(command, "godwit history", "godwit history --vm web --json");
}

async function running(client: AgentClient): Promise<MigrationStatusBody[]> {
  return (await client.get<MigrationStatusBody[]>("/v1/migrations")).filter((status) => !status.ended);
}

async function theRunning(client: AgentClient): Promise<string> {
  const found = await running(client);
  if (found.length === 1) return found[0]!.id;
  const problem =
    found.length === 0 ? "No migration runs" : `Give one of: ${found.map((s) => s.id).join(", ")}`;
  throw new GodwitError("USAGE", { problem });
}
