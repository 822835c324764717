/** What agents keep of a move on the disk, for after their own restart. No secrets: tickets are made anew. */
import type { SourceState, TargetState } from "../../migration/mod.ts";
import type { ProcessId } from "../../qemu/mod.ts";
import type { RamSection } from "../../relay/mod.ts";
import type { MigrationOrder } from "../api.ts";
import type { PrepareOrder } from "./peerSchemas.ts";

interface CommonRecord {
  readonly id: string;
  readonly vm: string;
  /** When the recorded phase began, ISO 8601 in UTC. */
  readonly since: string;
  /** The relay at work in that phase; null: none, or not known. It may outlive its agent. */
  readonly relay: ProcessId | null;
  /** The memory section as the stream announced it; null: it did not come so far. What a recovery needs. */
  readonly section: RamSection | null;
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
