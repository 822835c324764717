/** The samples of two results that can be set against each other, cell by cell. */
import { isDeepStrictEqual } from "node:util";
import type { Figure } from "./figures.ts";
import type { Stratum } from "./permutation.ts";
import type { BenchResult, Cell, Sample, SystemInfo } from "./result.ts";

export interface CellStratum {
  readonly cell: string;
  readonly stratum: Stratum;
}

/** The stock system that others are divided by, where it was measured. */
const REFERENCE = "stock";
/** Below it a logarithm says nothing: the resolution of the clocks. */
const LEAST = 1;

/** Names of the cells that mean the same piece of work in both. */
export function commonCells(a: BenchResult, b: BenchResult): string[] {
  const work = ({ about: _, ...rest }: Cell) => rest;
  return a.cells
    .filter((cell) => b.cells.some((other) => isDeepStrictEqual(work(cell), work(other))))
    .map(({ name }) => name);
}

/** 1 for a move that failed and 0 for one that did not. */
export function failures(
  a: BenchResult,
  b: BenchResult,
  system: string,
  cells: readonly string[],
): CellStratum[] {
  return strata(cells, (result, cell) =>
    samplesOf(result, cell, system).map(({ outcome }) => (outcome === "failed" ? 1 : 0)),
  )(a, b);
}

/** Logarithms of a figure of the moves that were completed. */
export function figureStrata(
  a: BenchResult,
  b: BenchResult,
  system: SystemInfo,
  figure: Figure,
  cells: readonly string[],
): { readonly basis: "per repeat" | "absolute"; readonly strata: CellStratum[] } {
  if (system.family === "godwit") {
    const relative = strata(cells, (result, cell) => {
      const reference = referenceOf(a, b, cell, figure);
      return reference === null ? [] : ratios(result, cell, system.name, reference, figure);
    })(a, b);
    if (relative.length > 0) return { basis: "per repeat", strata: relative };
  }
  const absolute = strata(cells, (result, cell) => [...figures(result, cell, system.name, figure).values()])(
    a,
    b,
  );
  return { basis: "absolute", strata: absolute };
}

function strata(
  cells: readonly string[],
  values: (result: BenchResult, cell: string) => number[],
): (a: BenchResult, b: BenchResult) => CellStratum[] {
  return (a, b) =>
    cells
      .map((cell) => ({ cell, stratum: { a: values(a, cell), b: values(b, cell) } }))
      .filter(({ stratum }) => stratum.a.length > 0 && stratum.b.length > 0);
}

/**
 * `stock`, else the stock system with most repeats, in both results. Of each repeat on its own and not their median: a
 * median would be shared by all repeats of a run, and its own noise would look like a difference between the runs.
 */
function referenceOf(a: BenchResult, b: BenchResult, cell: string, figure: Figure): string | null {
  const candidates = a.systems
    .filter(({ family }) => family === "stock")
    .map(({ name }) => ({
      name,
      count: Math.min(figures(a, cell, name, figure).size, figures(b, cell, name, figure).size),
    }))
    .filter(({ count }) => count > 0);
  const most = Math.max(...candidates.map(({ count }) => count));
  const full = candidates.filter(({ count }) => count === most);
  return (full.find(({ name }) => name === REFERENCE) ?? full[0])?.name ?? null;
}

function ratios(
  result: BenchResult,
  cell: string,
  system: string,
  reference: string,
  figure: Figure,
): number[] {
  const under = figures(result, cell, reference, figure);
  return [...figures(result, cell, system, figure)].flatMap(([repeat, value]) => {
    const by = under.get(repeat);
    return by === undefined ? [] : [value - by];
  });
}

/** By repeat, as logarithms. */
function figures(result: BenchResult, cell: string, system: string, figure: Figure): Map<number, number> {
  return new Map(
    samplesOf(result, cell, system)
      .filter(({ outcome }) => outcome === "completed")
      .flatMap(({ repeat, ledger }) => {
        const value = figure.of(ledger);
        return value === null ? [] : [[repeat, Math.log(Math.max(value, LEAST))] as const];
      }),
  );
}

function samplesOf(result: BenchResult, cell: string, system: string): Sample[] {
  return result.samples.filter((sample) => sample.cell === cell && sample.system === system);
}
