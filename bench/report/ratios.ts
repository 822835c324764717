/** Every system of Godwit beside the best stock system, cell by cell, and beside what papers claim. */
import { type BenchResult, FIGURES, type FigureName, summary } from "../../src/bench/mod.ts";
import { PAPER_CLAIMS, type PaperClaim } from "../papers.ts";
import { claimOf, type Standing, standings, summaryOf } from "./standing.ts";
import type { Table, TableRow } from "./tables.ts";
import { amount, digits } from "./units.ts";

export const RATIO_FIGURES: readonly FigureName[] = ["totalTimeMs", "blackoutMs", "wireBytes"];

export const RATIO_RULE =
  "A system's median by that of the best stock system for this figure in this cell (lowest median among those that completed every move there), all of this run; below 1 Godwit takes less. Systems that failed a move in a cell have no ratio there. A mean is geometric, over the cells that have a ratio.";

/** Named sets of cells over which a mean is told, when a result has at least two of them. */
const SETS: Readonly<Record<string, readonly string[]>> = {
  "words, text, dup, random, idle": ["words", "text", "dup", "random", "idle"],
};

/** @returns null when there is no stock system or none of Godwit's to compare */
export function ratioTable(result: BenchResult, figure: FigureName): Table | null {
  const cells = result.cells
    .map(({ name }) => ({ name, all: standings(result, name) }))
    .filter(({ all }) => all.length > 0);
  const systems = result.systems.filter(({ family }) => family === "godwit").map(({ name }) => name);
  const ratios = new Map(cells.map(({ name, all }) => [name, ratiosOf(all, figure)]));
  if (![...ratios.values()].some((of) => of.size > 0)) return null;
  const rows: TableRow[] = cells.map(({ name, all }) => {
    const { stock } = claimOf(all, figure);
    const of = ratios.get(name)!;
    return {
      kind: "plain",
      cells: [
        name,
        stock === null
          ? "none completed"
          : `${amount(stock.summary.median, FIGURES[figure].unit)}, ${stock.system.name}`,
        ...systems.map((system) => ratioText(of.get(system))),
      ],
    };
  });
  const sets = { ...SETS, "all cells": cells.map(({ name }) => name) };
  for (const [title, names] of Object.entries(sets)) {
    const here = names.filter((name) => ratios.has(name));
    if (here.length < 2) continue;
    const means = systems.map((system) => {
      const found = here.flatMap((name) => ratios.get(name)!.get(system) ?? []);
      if (found.length === 0) return "–";
      const count = found.length === names.length ? "" : ` (${found.length} of ${names.length})`;
      return `${ratioText(geometricMean(found))}${count}`;
    });
    rows.push({ kind: "noise", cells: [`mean of ${title}`, "", ...means] });
  }
  return { head: ["cell", "best stock", ...systems], rows };
}

/** By system of Godwit that completed every move of the cell. */
function ratiosOf(all: readonly Standing[], figure: FigureName): Map<string, number> {
  const { stock } = claimOf(all, figure);
  const ratios = new Map<string, number>();
  if (stock === null || stock.summary.median <= 0) return ratios;
  for (const standing of all) {
    const own = standing.system.family === "godwit" && standing.failed.length === 0;
    const found = own ? summaryOf(standing, figure) : null;
    if (found !== null) ratios.set(standing.system.name, found.median / stock.summary.median);
  }
  return ratios;
}

function ratioText(ratio: number | undefined): string {
  return ratio === undefined ? "–" : digits(ratio);
}

/** @param values  at least one, above 0 */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** What papers claim, of those whose system and baseline a result has. Null: of none. */
export function paperTable(result: BenchResult): Table | null {
  const rows = PAPER_CLAIMS.flatMap((claim) => paperRow(result, claim) ?? []);
  if (rows.length === 0) return null;
  return { head: ["paper", "system", "against", "figure", "claimed", "here", "cells", ""], rows };
}

function paperRow(result: BenchResult, claim: PaperClaim): TableRow | null {
  const { paper, system, baseline, figure, ratio } = claim;
  const measured = claim.cells.flatMap((name) => {
    const all = standings(result, name);
    const ours = all.find((standing) => standing.system.name === system);
    const theirs = all.find((standing) => standing.system.name === baseline);
    return ours === undefined || theirs === undefined ? [] : [{ name, ours, theirs }];
  });
  if (measured.length === 0) return null;
  const found: { readonly name: string; readonly ratio: number }[] = [];
  const without: string[] = [];
  for (const { name, ours, theirs } of measured) {
    const [mine, base] = [middleOf(ours, claim), middleOf(theirs, claim)];
    if (mine !== null && base !== null && base > 0 && mine > 0) found.push({ name, ratio: mine / base });
    else without.push(`${name}: ${mine === null ? "ours" : "the baseline"} was not completed`);
  }
  const mean = found.length === 0 ? null : geometricMean(found.map((one) => one.ratio));
  const verdict = mean === null ? "not comparable" : mean <= ratio ? "held" : "missed";
  return {
    kind: verdict === "held" ? "godwit" : verdict === "missed" ? "stock" : "plain",
    cells: [
      paper,
      system,
      baseline,
      figure.name,
      `${ratio}`,
      mean === null ? "–" : digits(mean),
      [...found.map((one) => `${one.name} ${digits(one.ratio)}`), ...without].join("; "),
      verdict,
    ],
  };
}

/** A system that failed a move there has no figure: what it would have cost is not known. */
function middleOf({ completed, failed }: Standing, { figure }: PaperClaim): number | null {
  const values = completed.flatMap(({ ledger }) => figure.of(ledger) ?? []);
  return failed.length > 0 || values.length === 0 ? null : summary(values).median;
}
