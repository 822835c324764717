/** What a result says of where it was measured. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import type { BenchResult } from "../../src/bench/mod.ts";
import type { EnergyReading } from "../ledger/mod.ts";

export const ROOT = join(import.meta.dirname, "..", "..");
const POWERCAP = "/sys/class/powercap";

/** @param accel  what runs the guests */
export function machine(accel: "kvm" | "tcg"): BenchResult["machine"] {
  const cores = cpus();
  return {
    processor: cores[0]?.model.trim() || "unknown",
    cores: cores.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    accel,
    loadAverage: loadavg(),
  };
}

/** The checkout's commit, short, and whether something in it is not committed; without git it is `unknown`. */
export function checkout(): { readonly commit: string; readonly dirty: boolean } {
  const commit = git("rev-parse", "--short=7", "HEAD");
  if (commit === null) return { commit: "unknown", dirty: true };
  return { commit, dirty: git("status", "--porcelain") !== "" };
}

function git(...args: string[]): string | null {
  const { status, stdout } = spawnSync("git", ["-C", ROOT, ...args], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

/** The energy counters of all processor packages now; null where the machine has none that may be read. */
export function energyNow(): EnergyReading[] | null {
  if (!existsSync(POWERCAP)) return null;
  const packages = readdirSync(POWERCAP).filter((name) => /^intel-rapl:\d+$/.test(name));
  try {
    const number = (name: string, file: string) => Number(readFileSync(join(POWERCAP, name, file), "utf8"));
    const readings = packages.map((name) => ({
      microjoules: number(name, "energy_uj"),
      range: number(name, "max_energy_range_uj"),
    }));
    return readings.length === 0 ? null : readings;
  } catch (error) {
    // root only, since the counters were found to tell secrets
    if (["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}
