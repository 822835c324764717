/** Evidence for recoveries: what is to be seen on this host of a move, and what the other host's agent says of it. */
import { isGodwitError } from "../../errors/mod.ts";
import type { OtherSeen, QemuSeen, Report, SideSeen, SourcePhase } from "../../migration/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Departures } from "./departures.ts";
import type { SourceRecord, TargetRecord } from "./records.ts";

const QMP_MS = 1_000;

/** A QEMU that lives and does not answer. Whether its guest runs is not known: the worst counts. */
const SILENT: QemuSeen = { running: true, status: null, migration: null };

/** What the source's side of a move looks like from this host. */
export async function seeDeparture(
  context: AgentContext,
  departures: Departures,
  id: string,
): Promise<SideSeen> {
  const move = departures.find(id);
  const record = context.history.get<SourceRecord>("state", id);
  const report = context.history.get<Report>("report", id);
  const phase = move?.phase ?? record?.state.phase ?? (report?.status as SourcePhase | undefined) ?? null;
  const name = move?.order.vm ?? record?.vm ?? report?.vm ?? null;
  return {
    ...{ host: context.host, phase, since: move?.since ?? record?.since ?? null },
    qemu: name === null ? null : await seeQemu(context, name),
  };
}

/** What the target's side looks like from this host. */
export async function seeArrival(context: AgentContext, arrivals: Arrivals, id: string): Promise<SideSeen> {
  const move = arrivals.find(id);
  const record = context.history.get<TargetRecord>("state", id);
  const phase = move?.phase ?? record?.state.phase ?? null;
  return {
    ...{ host: context.host, phase, since: move?.since ?? record?.since ?? null },
    qemu: record === null ? null : await seeQemu(context, record.vm),
  };
}

/** The other agent's answer, or why there is none. */
export async function ask(question: () => Promise<SideSeen>): Promise<OtherSeen> {
  try {
    return await question();
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return { unseen: error.message };
  }
}

async function seeQemu(context: AgentContext, name: string): Promise<QemuSeen | null> {
  let vm: Vm | null;
  try {
    vm = await context.vms.takeOver(name);
    if (vm === null) return null;
    const { running, status } = await vm.monitor.execute("query-status", {}, { timeoutMs: QMP_MS });
    const migration = await vm.monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS });
    return { running, status, migration: migration.status ?? null };
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return SILENT;
  }
}
