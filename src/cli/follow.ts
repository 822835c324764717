import type { AgentEvent, MigrationStatusBody } from "../agent/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import type { Report } from "../migration/mod.ts";
import type { AgentClient } from "./client.ts";
import { ProgressView } from "./progress.ts";

/** Events that carry a migration's status (`MigrationStatusBody`) as their data. */
export const PROGRESS = "migration.progress";
export const ENDED = "migration.ended";

/**
 * Shows a migration's progress until it ends. `onInterrupt` runs at each Ctrl-C with how many there were;
 * when it answers "leave" the migration is left alone and null is returned.
 * Errors: AGENT_UNREACHABLE when the agent goes away, MIGRATION_UNKNOWN.
 */
export async function follow(
  client: AgentClient,
  id: string,
  onInterrupt: (count: number, view: ProgressView) => "wait" | "leave",
): Promise<Report | null> {
  const view = new ProgressView();
  // Listen first, look second: so no end can fall between the two.
  const { events, close } = await client.events();
  let left = false;
  let interrupts = 0;
  const interrupt = () => {
    if (onInterrupt(++interrupts, view) === "wait") return;
    left = true;
    close();
  };
  process.on("SIGINT", interrupt);
  try {
    const now = await client.get<MigrationStatusBody>(`/v1/migrations/${encodeURIComponent(id)}`);
    const ended = now.ended ? now : await untilEnded(events, id, view, now);
    if (ended === null && left) return null;
    const last = ended ?? (await client.get<MigrationStatusBody>(`/v1/migrations/${encodeURIComponent(id)}`));
    if (last.report === null)
      throw new GodwitError("AGENT_UNREACHABLE", { path: client.path, reason: "its events ended" });
    return last.report as unknown as Report;
  } finally {
    process.off("SIGINT", interrupt);
    view.end();
    close();
  }
}

async function untilEnded(
  events: AsyncGenerator<AgentEvent, void, void>,
  id: string,
  view: ProgressView,
  now: MigrationStatusBody,
): Promise<MigrationStatusBody | null> {
  view.show(now);
  for await (const event of events) {
    const status = event.data as MigrationStatusBody;
    if (status.id !== id) continue;
    if (event.type === PROGRESS) view.show(status);
    if (event.type === ENDED) return status;
  }
  return null;
}
