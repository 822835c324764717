/** The systems that the bench compares, by name: data, and why a QEMU cannot do one of them. */
import { GodwitError } from "../../src/errors/mod.ts";
import { GODWIT_SYSTEMS } from "./godwit.ts";
import { STOCK_SYSTEMS } from "./stock.ts";
import type { AnySystem } from "./types.ts";

export type { AnySystem, GodwitSystem, PostcopyStart, StockRecipe, StockSystem } from "./types.ts";

export const SYSTEMS: readonly AnySystem[] = [...STOCK_SYSTEMS, ...GODWIT_SYSTEMS];

/** By name or alias, upper or lower case alike. Errors: BENCH_UNKNOWN naming the known ones. */
export function systemNamed(name: string): AnySystem {
  const wanted = name.toLowerCase();
  const found = SYSTEMS.find((s) => s.name.toLowerCase() === wanted || s.alias?.toLowerCase() === wanted);
  if (found !== undefined) return found;
  const known = SYSTEMS.map((s) => (s.alias === undefined ? s.name : `${s.name} (${s.alias})`)).join(", ");
  throw new GodwitError("BENCH_UNKNOWN", { kind: "system", name, known });
}
