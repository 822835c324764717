/** Where the systems stand in one cell, and what can be said of Godwit beside stock without claiming noise. */
import {
  type BenchResult,
  CHANGE_LEAST,
  FIGURES,
  type FigureName,
  type Sample,
  type Summary,
  type SystemInfo,
  summary,
} from "../../src/bench/mod.ts";

export interface Standing {
  readonly system: SystemInfo;
  readonly samples: readonly Sample[];
  readonly completed: readonly Sample[];
  readonly failed: readonly Sample[];
}

/** Fewer on either side, and nothing is said. */
export const SAMPLES_LEAST = 3;

/** Of all systems that were measured in a cell, in the result's order. */
export function standings(result: BenchResult, cell: string): Standing[] {
  const here = result.samples.filter((sample) => sample.cell === cell);
  return result.systems
    .map((system) => {
      const samples = here.filter((sample) => sample.system === system.name);
      const completed = samples.filter(({ outcome }) => outcome === "completed");
      return { system, samples, completed, failed: samples.filter((sample) => !completed.includes(sample)) };
    })
    .filter(({ samples }) => samples.length > 0);
}

/** Of the moves that were completed; those in which the figure was not measured are left out. */
export function valuesOf(standing: Standing, figure: FigureName): number[] {
  return standing.completed.flatMap(({ ledger }) => FIGURES[figure].of(ledger) ?? []);
}

export function summaryOf(standing: Standing, figure: FigureName): Summary | null {
  const values = valuesOf(standing, figure);
  return values.length === 0 ? null : summary(values);
}

export interface Best {
  readonly system: SystemInfo;
  readonly summary: Summary;
}

export type Winner = "godwit" | "stock" | "noise" | "few samples" | "only godwit" | "only stock" | "none";

export interface Claim {
  readonly figure: FigureName;
  /** The least median among the systems that completed all their moves in this cell; null: there is none. */
  readonly godwit: Best | null;
  readonly stock: Best | null;
  /** Godwit by stock: below 1 Godwit is better. The range is of the extremes of both. */
  readonly ratio: { readonly median: number; readonly least: number; readonly most: number } | null;
  readonly winner: Winner;
}

/** The rule, as the page and the docs state it. */
export const RULE = `Per cell and figure the best Godwit system is set beside the best stock system (lowest median among those that completed every move there; for another figure it may be another system). One of them is said to win only if each has at least ${SAMPLES_LEAST} samples, their ranges do not overlap, and the medians differ by more than ${CHANGE_LEAST * 100} %. Otherwise the difference is called "within the noise". With 3 samples each, two systems that do not differ have ranges apart in 1 of 10 comparisons, with 5 in 1 of 126: more repeats make a better claim.`;

/** What can be said of one figure in a cell. */
export function claimOf(all: readonly Standing[], figure: FigureName): Claim {
  const godwit = bestOf(all, "godwit", figure);
  const stock = bestOf(all, "stock", figure);
  const ratio =
    godwit === null || stock === null || stock.summary.least <= 0
      ? null
      : {
          median: godwit.summary.median / stock.summary.median,
          least: godwit.summary.least / stock.summary.most,
          most: godwit.summary.most / stock.summary.least,
        };
  return { figure, godwit, stock, ratio, winner: winnerOf(all, godwit, stock) };
}

function bestOf(all: readonly Standing[], family: SystemInfo["family"], figure: FigureName): Best | null {
  const candidates = all
    .filter(({ system, failed }) => system.family === family && failed.length === 0)
    .flatMap((standing) => {
      const found = summaryOf(standing, figure);
      return found === null ? [] : [{ system: standing.system, summary: found }];
    });
  return candidates.sort((a, b) => a.summary.median - b.summary.median)[0] ?? null;
}

function winnerOf(all: readonly Standing[], godwit: Best | null, stock: Best | null): Winner {
  if (godwit === null || stock === null) {
    // "Only" is a claim, too: the other family must have tried, and failed.
    const tried = (family: SystemInfo["family"]) =>
      all.some(({ system, failed }) => system.family === family && failed.length > 0);
    if (godwit !== null && tried("stock")) return "only godwit";
    if (stock !== null && tried("godwit")) return "only stock";
    return "none";
  }
  const [g, s] = [godwit.summary, stock.summary];
  if (Math.min(g.count, s.count) < SAMPLES_LEAST) return "few samples";
  const [low, high] = g.median < s.median ? [g, s] : [s, g];
  if (low.most >= high.least || high.median <= low.median * (1 + CHANGE_LEAST)) return "noise";
  return low === g ? "godwit" : "stock";
}
