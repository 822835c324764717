/** What a move cost in energy: measured where the processor counts it, else by a model that is named as one. */
import type { Ledger } from "../../src/bench/mod.ts";

/** The model's only number: what one busy core of a server takes more than an idle one. Stated, not measured. */
export const WATTS_PER_BUSY_CORE = 15;

/** One package's energy counter (the kernel's powercap interface), in microjoules; it wraps at `range`. */
export interface EnergyReading {
  readonly microjoules: number;
  readonly range: number;
}

/**
 * Energy of all packages between two readings (the whole machine's, with whatever else it did), or, where there are no
 * counters, the CPU time of the move's processes at a stated power.
 * @param cpuMs  of both hosts, without the guest's own vCPUs
 */
export function energyOf(
  before: readonly EnergyReading[] | null,
  after: readonly EnergyReading[] | null,
  cpuMs: number,
): Ledger["energyJoules"] {
  if (before === null || after === null || before.length === 0 || before.length !== after.length)
    return { model: "cpu-time", joules: (cpuMs / 1000) * WATTS_PER_BUSY_CORE };
  const microjoules = after.map(({ microjoules, range }, i) => {
    const rise = microjoules - before[i]!.microjoules;
    return rise < 0 ? rise + range : rise;
  });
  return { model: "rapl", joules: microjoules.reduce((a, b) => a + b, 0) / 1e6 };
}
