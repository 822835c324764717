import type { SourceEvent } from "../../migration/mod.ts";
import type { MigrationOrder } from "../api.ts";
import type { AgentContext, Vm } from "../context.ts";
import type { SourceRecord } from "./records.ts";

export interface SourceMoveParts {
  readonly context: AgentContext;
  readonly order: MigrationOrder;
  readonly id: string;
  /** null: its QEMU has ended. Only where an agent before us began the move. */
  readonly vm: Vm | null;
  /** Lets other orders have the VM again. */
  readonly release: () => void;
  /** The move of an agent before us, as it had recorded it. */
  readonly left?: SourceRecord;
}

/** What a new agent finds of a move that the one before it was in. */
export type Found = Pick<SourceEvent & { type: "restarted" }, "qemu">;
