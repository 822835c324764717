/** What a reader has to know before any figure: where, on what, how, when. */
import type { BenchResult } from "../../src/bench/mod.ts";
import { amount, digits } from "./units.ts";

const ENERGY = {
  rapl: "measured by the processor (RAPL), the whole machine's",
  "cpu-time": "not measured: a stated power per busy core (docs/bench.md)",
} as const;

/** Names and texts, in the order in which they are shown. */
export function factsOf(result: BenchResult): [string, string][] {
  const { machine } = result;
  const failed = result.samples.filter(({ outcome }) => outcome === "failed").length;
  const energy = new Set(result.samples.map(({ ledger }) => ledger.energyJoules.model));
  return [
    [
      "Date",
      `${result.startedAt.slice(0, 16).replace("T", " ")} UTC, took ${digits(result.durationMs / 60_000)} min`,
    ],
    ["Commit", `${result.commit}${result.dirty ? ", with changes that were not committed" : ""}`],
    ["Command", result.command],
    ["Seed, repeats", `${result.seed}, ${result.repeats}`],
    ["Machine", `${machine.processor}, ${machine.cores} cores, ${amount(machine.memoryBytes, "bytes")}`],
    ["Kernel, Node", `${machine.kernel}, ${machine.node}`],
    ["QEMU", `${result.qemu}, accel ${machine.accel.toUpperCase()}`],
    ["Load average", machine.loadAverage.map((load) => load.toFixed(1)).join(", ")],
    ["Moves", `${result.samples.length}, of which ${failed} failed`],
    ["Energy", [...energy].map((model) => ENERGY[model]).join("; ") || "–"],
  ];
}

/** What changes how every figure has to be read. */
export function warningsOf({ machine, interrupted }: BenchResult): string[] {
  return [
    ...(machine.accel === "tcg"
      ? [
          "Measured under TCG: QEMU emulates the guest's processor, as this machine has no usable KVM. Guests run many times slower than on hardware and take the cores that moving needs. Systems on this page are comparable with each other, and with nothing measured elsewhere.",
        ]
      : []),
    ...(interrupted
      ? ["The run was interrupted: what is here is true, and not all that was asked for."]
      : []),
  ];
}
