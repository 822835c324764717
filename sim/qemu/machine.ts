/** What a migration sees of the QEMU that it belongs to, and what a QEMU tells the world. */
import type { Random } from "../engine/random.ts";
import type { SimProcess, Simulation } from "../engine/simulation.ts";
import type { Memory } from "./memory.ts";

export type RunState = "running" | "paused" | "inmigrate" | "finish-migrate" | "postmigrate";

/** Who looks after the rules. */
export interface QemuWorld {
  /** Its guest begins to run. */
  guestRuns(qemu: Machine): void;
  /** The pages that the guest which stopped last has left behind. */
  readonly truth: readonly Uint8Array[];
  guestStops(qemu: Machine): void;
  fail(rule: string, detail: string): void;
}

export interface Machine {
  readonly simulation: Simulation;
  readonly process: SimProcess;
  readonly memory: Memory;
  readonly world: QemuWorld;
  readonly random: Random;
  readonly capabilities: ReadonlySet<string>;
  readonly downtimeLimitMs: number;
  /** Is 9.0 or newer: the states and the sudden restarts of 10.0. */
  readonly modern: boolean;
  readonly running: boolean;
  /** `cont` came before the guest was here. */
  readonly autostart: boolean;
  /** Pages that have not come yet; empty without a migration into it. */
  readonly missing: ReadonlySet<number>;
  state: RunState;
  /** Pages written since the last sync; only while a migration looks. */
  dirty: Set<number> | undefined;
  /** Makes the guest's writing up to date. */
  settleWrites(): void;
  run(): void;
  stop(state: RunState): void;
  emit(event: string, data?: Record<string, unknown>): void;
  /** The main loop is held up until the release. */
  hang(): () => void;
}
