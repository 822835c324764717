import type { Ledger } from "./result.ts";

/** What a move costs, in the figures that are compared. For all of them less is better. */
export interface Figure {
  readonly name: FigureName;
  readonly label: string;
  readonly unit: "ms" | "bytes" | "joules";
  /** Null: not measured, or the move has none. */
  readonly of: (ledger: Ledger) => number | null;
}

export const FIGURE_NAMES = [
  "totalTimeMs",
  "migrateTimeMs",
  "downtimeMs",
  "blackoutMs",
  "gapAfterResumeMs",
  "wireBytes",
  "cpuMs",
  "energyJoules",
  "longestStallMs",
] as const;
export type FigureName = (typeof FIGURE_NAMES)[number];

export const FIGURES: { readonly [N in FigureName]: Figure } = {
  totalTimeMs: { name: "totalTimeMs", label: "total time", unit: "ms", of: (l) => l.totalTimeMs },
  migrateTimeMs: { name: "migrateTimeMs", label: "migrate time", unit: "ms", of: (l) => l.migrateTimeMs },
  downtimeMs: { name: "downtimeMs", label: "downtime", unit: "ms", of: (l) => l.downtimeMs },
  blackoutMs: { name: "blackoutMs", label: "blackout", unit: "ms", of: (l) => l.blackoutMs },
  gapAfterResumeMs: {
    name: "gapAfterResumeMs",
    label: "longest gap after RESUME",
    unit: "ms",
    of: (l) => l.gapAfterResumeMs ?? null,
  },
  wireBytes: { name: "wireBytes", label: "bytes on the wire", unit: "bytes", of: (l) => l.wireBytes.forward },
  cpuMs: { name: "cpuMs", label: "CPU time", unit: "ms", of: (l) => l.cpuMs.source + l.cpuMs.target },
  energyJoules: { name: "energyJoules", label: "energy", unit: "joules", of: (l) => l.energyJoules.joules },
  longestStallMs: {
    name: "longestStallMs",
    label: "longest stall of the client",
    unit: "ms",
    of: (l) => l.client?.longestStallMs ?? null,
  },
};
