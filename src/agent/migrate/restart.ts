/**
 * What an agent finds of its predecessor's moves, and takes up: the same machines go on from the records (docs/recovery.md).
 * Relays that still carry a post-copy are not disturbed; all others ended with their agent.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isGodwitError } from "../../errors/mod.ts";
import { TARGET_MAY_RUN, targetSettled } from "../../migration/mod.ts";
import { giveBack } from "../balloon/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Departures } from "./departures.ts";
import { isOf, type SourceRecord, type TargetRecord } from "./records.ts";

/** How often a QEMU is tried that lives and does not answer. Nothing is settled before it does. */
const TRY_AGAIN_MS = 2_000;
const QMP_MS = 5_000;
const RECORDS_MAX = 10_000;

/**
 * Takes up what the agent before this one left over; never rejects. Resolves when every move is in the hands of its machine.
 * @param signal  the agent ends
 */
export async function settleLeftOver(
  context: AgentContext,
  moves: { readonly departures: Departures; readonly arrivals: Arrivals },
  signal: AbortSignal,
): Promise<void> {
  const records = context.history.list<SourceRecord | TargetRecord>("state", { limit: RECORDS_MAX });
  await Promise.all(
    records.map(async (record) => {
      const log = context.log.child({ migration: record.id, vm: record.vm });
      try {
        if (record.side === "target" && targetSettled(record.state.phase))
          return await arrived(context, record);
        if (record.side === "source" && record.state.phase === "lost") return departedLost(context, record);
        log.warn({ side: record.side, phase: record.state.phase }, "a move of the agent before is taken up");
        const found = await look(context, record, signal);
        if (found === null) return;
        if (record.side === "source") moves.departures.resume(record, found.vm, found);
        else moves.arrivals.resume({ record, vm: found.vm }, found.qemu);
      } catch (error) {
        log.error({ err: error }, "it could not be taken up");
      }
    }),
  );
}

/** What may be missing of a guest that had arrived. */
async function arrived(context: AgentContext, record: TargetRecord): Promise<void> {
  const vm = context.vms.find(record.vm);
  if (record.state.phase !== "running" || vm === null || !isOf(record, vm)) return;
  if (vm.incoming) await context.vms.confirm(vm);
  await giveBackTo(context, record, vm);
}

/** A record of a loss is kept for the guest that stands still here. */
function departedLost(context: AgentContext, record: SourceRecord): void {
  const vm = context.vms.find(record.vm);
  if (vm === null || !isOf(record, vm)) context.history.remove("state", record.id);
}

/** Its QEMU, once it answers or has ended; null: the agent ends before. */
async function look(
  context: AgentContext,
  record: SourceRecord | TargetRecord,
  signal: AbortSignal,
): Promise<{ readonly vm: Vm | null; readonly qemu: "gone" | "completed" | "other" } | null> {
  const { vm: name, side, state } = record;
  while (!signal.aborted) {
    try {
      const vm = await context.vms.takeOver(name);
      if (vm === null || !isOf(record, vm)) return { vm: null, qemu: "gone" };
      const { running } = await vm.monitor.execute("query-status", {}, { timeoutMs: QMP_MS });
      // Whoever runs under this name now is not the one that has left.
      if (side === "source" && state.phase === "completed" && running) return { vm: null, qemu: "gone" };
      const { status } = await vm.monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS });
      return { vm, qemu: status === "completed" ? "completed" : "other" };
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      context.log.warn({ err: error, vm: name }, "its QEMU does not answer; asking again");
      // Its main loop may wait for a page that nobody will bring: what has never run is not waited for.
      if (side === "target" && !TARGET_MAY_RUN.has(state.phase)) await context.vms.endIncoming(name);
      await sleep(TRY_AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
  return null;
}

/** A guest that was made smaller for a move gets back what was taken, where it now runs. */
async function giveBackTo(context: AgentContext, record: TargetRecord, vm: Vm): Promise<void> {
  const { id, balloonBytes } = record;
  if (!balloonBytes) return;
  await giveBack(vm, balloonBytes);
  const now = context.history.get<TargetRecord>("state", id) ?? record;
  context.history.put("state", id, vm.name, { ...now, balloonBytes: null });
}
