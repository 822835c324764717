/** What agents keep of a move on the disk, for after their own restart. No secrets: tickets are made anew. */
import { type SourceState, TARGET_MAY_RUN, type TargetState } from "../../migration/mod.ts";
import type { ProcessId } from "../../qemu/mod.ts";
import type { RamSection } from "../../relay/mod.ts";
import type { MigrationOrder } from "../api.ts";
import type { AgentContext, Vm } from "../context.ts";
import type { PrepareOrder } from "./peerSchemas.ts";

interface CommonRecord {
  readonly id: string;
  readonly vm: string;
  /** When the recorded phase began, ISO 8601 in UTC. */
  readonly since: string;
  /** Of the QEMU that this is about: another of the same name may come after it. null: not started yet, or not known. */
  readonly qemuPid: number | null;
  /** The relay at work in that phase; null: none, or not known. It may outlive its agent. */
  readonly relay: ProcessId | null;
  /** The memory section as the stream announced it; null: it did not come so far. What a recovery needs. */
  readonly section: RamSection | null;
}

/** Whether this VM is the one of the record. */
export function isOf(record: SourceRecord | TargetRecord, vm: Pick<Vm, "pid" | "incoming">): boolean {
  // What had not been committed was still arriving.
  if (record.side === "target" && !TARGET_MAY_RUN.has(record.state.phase) && !vm.incoming) return false;
  return record.qemuPid === null || vm.pid === null || record.qemuPid === vm.pid;
}

/** Removes the record of a move that has ended; where the disk is full the next agent settles it once more. */
export function forget({ history, log }: AgentContext, id: string): void {
  try {
    history.remove("state", id);
  } catch (error) {
    log.error({ err: error, migration: id }, "the record of the move stays");
  }
}

export interface SourceRecord extends CommonRecord {
  readonly side: "source";
  readonly to: string;
  readonly order: MigrationOrder;
  readonly startedAt: string;
  /** The guest gets this size back when it stays. */
  readonly balloonBytes?: number | null;
  readonly state: SourceState;
}

export interface TargetRecord extends CommonRecord {
  readonly side: "target";
  readonly order: Omit<PrepareOrder, "ticket">;
  /** The guest still has to get this size back here. */
  readonly balloonBytes?: number | null;
  readonly state: TargetState;
}
