/** What agents keep of a move on the disk, for after their own restart. */
import type { SourceState, TargetState } from "../../migration/mod.ts";
import type { MigrationOrder } from "../api.ts";

export interface SourceRecord {
  readonly side: "source";
  readonly id: string;
  readonly vm: string;
  readonly to: string;
  readonly order: MigrationOrder;
  readonly startedAt: string;
  /** The guest gets this size back when it stays. */
  readonly balloonBytes?: number | null;
  readonly state: SourceState;
}

export interface TargetRecord {
  readonly side: "target";
  readonly id: string;
  readonly vm: string;
  /** The guest still has to get this size back here. */
  readonly balloonBytes?: number | null;
  readonly state: TargetState;
}
