import type { MigrationOrderInput } from "../../src/agent/mod.ts";
import type { Cell } from "../../src/bench/mod.ts";
import type { MigrationParameters } from "../../src/qemu/mod.ts";
import type { System } from "../types.ts";

/** When `migrate-start-postcopy` is sent. */
export type PostcopyStart = "never" | "atOnce" | "afterFirstPass";

/** What an operator sets on both QEMUs before a move, beside what all stock systems have in common. */
export interface StockRecipe {
  /** Beside `events` and `return-path`. */
  readonly capabilities: readonly string[];
  parameters(cell: Pick<Cell, "memoryMib" | "link">): MigrationParameters;
  readonly postcopy: PostcopyStart;
}

export interface StockSystem extends System {
  readonly family: "stock";
  readonly recipe: StockRecipe;
}

export interface GodwitSystem extends System {
  readonly family: "godwit";
  /** What the order to the agent says beside which VM goes where, and for how long at most. */
  readonly order: Omit<MigrationOrderInput, "vm" | "to" | "timeoutMs">;
}

export type AnySystem = StockSystem | GodwitSystem;
