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
  readonly state: SourceState;
}

export interface TargetRecord {
  readonly side: "target";
  readonly id: string;
  readonly vm: string;
  readonly state: TargetState;
}
