import { type Command, InvalidArgumentError } from "commander";
import type { AuditEntry, AuditVerdict } from "../agent/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import { type AgentAt, AgentClient } from "./client.ts";
import { agentCommand, example, jsonOption, print, printJson } from "./options.ts";
import { table } from "./show.ts";
import { duration } from "./units.ts";

/** What the agent gives at once. */
const PAGE = 1000;

interface Flags extends AgentAt {
  since?: string;
  verify?: boolean;
  json?: boolean;
}

/** `godwit audit` */
export function auditCommand(): Command {
  const command = agentCommand("audit", "who ordered what of this agent, and what became of it; oldest first")
    .option(
      "--since <time>",
      "from then on: so long ago, such as 2h, or a time such as 2026-01-31T08:00Z",
      since,
    )
    .option("--verify", "check that every entry is as it was written; says where it is not")
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      const client = new AgentClient(flags);
      if (flags.verify) return verify(client, flags);
      const rows: string[][] = [];
      for await (const entry of entries(client, flags.since)) {
        if (flags.json) printJson(entry);
        else rows.push(rowOf(entry));
      }
      if (!flags.json)
        print(table(["AT", "WHO", "FROM", "ORDER", "VM", "MIGRATION", "OUTCOME", "DETAIL"], rows));
    });
  return example(command, "godwit audit --since 2h", "godwit audit --json", "godwit audit --verify");
}

async function verify(client: AgentClient, flags: Flags): Promise<void> {
  const { entries: count, head, broken } = await client.get<AuditVerdict>("/v1/audit/verdict");
  if (flags.json) printJson({ entries: count, head, broken });
  if (broken !== null) throw new GodwitError("AUDIT_BROKEN", broken);
  if (!flags.json) print(`${count} entries, each as it was written. The last: ${head.seq} ${head.hash}`);
}

async function* entries(client: AgentClient, from?: string): AsyncGenerator<AuditEntry, void, void> {
  let after = 0;
  for (;;) {
    const query = new URLSearchParams({ after: `${after}`, limit: `${PAGE}`, ...(from && { since: from }) });
    const page = await client.get<AuditEntry[]>(`/v1/audit?${query}`);
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)!.seq;
  }
}

function rowOf({ at, who, order, subject, migration, outcome, error, times, detail }: AuditEntry): string[] {
  const name = [who.role, who.name].filter((part) => part !== null).join(" ") || who.how;
  const end = `${outcome}${error === null ? "" : ` ${error}`}${times > 1 ? ` (${times} times)` : ""}`;
  return [at, name, who.from ?? who.how, order, subject ?? "-", migration ?? "-", end, detail ?? ""];
}

function since(text: string): string {
  if (/^\d{4}-/.test(text)) {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) return new Date(time).toISOString();
    throw new InvalidArgumentError("it is no time such as 2026-01-31T08:00Z");
  }
  try {
    return new Date(Date.now() - duration(text)).toISOString();
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
