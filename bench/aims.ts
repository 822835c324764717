/** What Godwit's ways of moving are to reach beside stock QEMU, as data: which figure, against what, in which cells. */
import { type Cell, FIGURES, type FigureName, type Ledger, type Summary } from "../src/bench/mod.ts";
import { faultShareOf } from "./ledger/mod.ts";

/** The stock system that an operator starts with, and the same tuned for pages that the guest waits for. */
export const PLAIN_POSTCOPY = "stock-postcopy";
export const TUNED_POSTCOPY: readonly string[] = ["stock-postcopy-capped", "stock-postcopy-preempt"];

/** What the figure is divided by: the least median of these systems in the cell, or what the cell itself says. */
export type Against =
  | { readonly name: string; readonly systems: readonly string[] }
  | { readonly name: string; readonly ofCell: (cell: Cell) => number | null };

export interface Aim {
  readonly about: string;
  readonly system: string;
  /** Those of them that a result has: each has to reach it. */
  readonly cells: readonly string[];
  readonly figure: string;
  readonly of: (ledger: Ledger, cell: Cell) => number | null;
  readonly against: Against;
  /** The middle one of the system's figures by what it is set against, at most. */
  readonly ratio: number;
}

/** Medians of the systems that are needed; null: not measured, or a move of it failed in the cell. */
export type Medians = (system: string, of: Aim["of"]) => Summary | null;

const PLAIN: Against = { name: "plain", systems: [PLAIN_POSTCOPY] };
const TUNED: Against = { name: "the best tuned", systems: TUNED_POSTCOPY };
const STOCK: Against = { name: "the best of them", systems: [PLAIN_POSTCOPY, ...TUNED_POSTCOPY] };
const RAM_BY_LINK: Against = { name: "RAM / link", ofCell: ramByLinkMs };

const AGAINST_STOCK = {
  about: "post-copy against stock's",
  system: "godwit-postcopy",
  cells: ["words", "read", "scan"].flatMap((mode) => [`postcopy-${mode}-100`, `postcopy-${mode}-1000`]),
};
const HYBRID = {
  about: "hybrid on a writer that never converges",
  system: "godwit-hybrid",
  cells: ["hybrid-words", "hybrid-random"],
};
const LESS_TO_MOVE = {
  about: "memory that need not move",
  cells: ["freeable-quiet"],
  against: { name: "without", systems: ["godwit-unhinted"] },
};
const FEW_FAULTS = {
  about: "pages that the guest had to ask for",
  system: "godwit-postcopy",
  figure: "network faults",
  of: faultShareOf,
  against: { name: "its working set", ofCell: () => 1 },
  ratio: 0.17,
};

export const AIMS: readonly Aim[] = [
  { ...AGAINST_STOCK, ...figure("blackoutMs"), against: PLAIN, ratio: 0.1 },
  { ...AGAINST_STOCK, ...figure("blackoutMs"), against: TUNED, ratio: 0.4 },
  { ...AGAINST_STOCK, ...figure("totalTimeMs"), against: STOCK, ratio: 1 },
  { ...AGAINST_STOCK, ...figure("wireBytes"), against: STOCK, ratio: 1 },
  { ...FEW_FAULTS, cells: ["pushorders-scan"] },
  { ...FEW_FAULTS, cells: ["pushorders-redis"] },
  { ...FEW_FAULTS, cells: ["pushorders-sqlite"] },
  { ...HYBRID, ...figure("totalTimeMs"), against: RAM_BY_LINK, ratio: 1.2 },
  { ...HYBRID, ...figure("blackoutMs"), against: PLAIN, ratio: 0.2 },
  ...["godwit-precopy", "godwit-balloon"].flatMap((system) => [
    { ...LESS_TO_MOVE, system, ...figure("wireBytes"), ratio: 0.5 },
    { ...LESS_TO_MOVE, system, ...figure("totalTimeMs"), ratio: 0.52 },
  ]),
];

function figure(name: FigureName): Pick<Aim, "figure" | "of"> {
  return { figure: FIGURES[name].label, of: FIGURES[name].of };
}

/** What the guest's memory takes on the link as it is; null where the link has no rate. */
export function ramByLinkMs({ memoryMib, guests, link }: Cell): number | null {
  return link.bytesPerSec === null ? null : (memoryMib * 2 ** 20 * guests * 1000) / link.bytesPerSec;
}

/**
 * The system's median by what it is set against, in one cell.
 * @returns null when one of both is missing
 */
export function aimRatio({ system, of, against }: Aim, cell: Cell, medians: Medians): number | null {
  const own = medians(system, of)?.median ?? null;
  const base =
    "ofCell" in against
      ? against.ofCell(cell)
      : least(against.systems.flatMap((name) => medians(name, of)?.median ?? []));
  return own === null || base === null || base <= 0 ? null : own / base;
}

function least(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.min(...values);
}
