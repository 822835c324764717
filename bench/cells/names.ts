import { GodwitError } from "../../src/errors/mod.ts";
import { type BenchCell, GROUPS } from "./cell.ts";
import { CURVE_CELLS } from "./curves.ts";
import { FREEABLE_CELLS } from "./freeable.ts";
import { LOAD_CELLS } from "./loads.ts";
import { PAPER_CELLS } from "./papers.ts";
import { POSTCOPY_CELLS } from "./postcopy.ts";
import { QUICK_CELLS } from "./quick.ts";
import { WRITER_CELLS } from "./writers.ts";

/** All of them; a name stands for one cell only. */
export const CELLS: readonly BenchCell[] = [
  ...QUICK_CELLS,
  ...WRITER_CELLS,
  ...PAPER_CELLS,
  ...LOAD_CELLS,
  ...POSTCOPY_CELLS,
  ...FREEABLE_CELLS,
  ...CURVE_CELLS,
];

/** Every cell of a group, of a curve (`curve:ram`), or the one of that name. */
function cellsOf(name: string): readonly BenchCell[] {
  if ((GROUPS as readonly string[]).includes(name)) return CELLS.filter(({ group }) => group === name);
  return CELLS.filter((cell) => cell.name === name || `curve:${cell.factor?.name}` === name);
}

/**
 * @param names  of cells and groups; one that is named twice is measured once
 * @throws BENCH_UNKNOWN naming what is known
 */
export function cellsNamed(names: readonly string[]): BenchCell[] {
  const chosen = names.flatMap((name) => {
    const found = cellsOf(name);
    if (found.length === 0) throw new GodwitError("BENCH_UNKNOWN", { kind: "cell", name, known: known() });
    return found;
  });
  return [...new Set(chosen)];
}

function known(): string {
  const curves = new Set(CELLS.flatMap(({ factor }) => (factor === null ? [] : [`curve:${factor.name}`])));
  return [...GROUPS, ...curves, ...CELLS.map(({ name }) => name)].join(", ");
}
