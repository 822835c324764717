/**
 * Whether two results differ by more than noise. Each figure of a Godwit system is divided by that of a stock system of
 * the same repeat in the same cell, which ran minutes before or after: a machine that was slower that day cancels out.
 */
import { GodwitError } from "../errors/mod.ts";
import { FIGURES, type FigureName } from "./figures.ts";
import { holm } from "./holm.ts";
import { permutationTest, type Stratum } from "./permutation.ts";
import type { BenchResult, SystemInfo } from "./result.ts";
import { commonCells, failures, figureStrata } from "./strata.ts";

export type Metric = FigureName | "failed";

/** Compared unless others are asked for. */
export const METRICS: readonly Metric[] = [
  "totalTimeMs",
  "migrateTimeMs",
  "blackoutMs",
  "wireBytes",
  "cpuMs",
  "failed",
];

/** What one can be told apart by: corrected p below it, and a change larger than it. */
export const ALPHA = 0.01;
export const CHANGE_LEAST = 0.05;

export interface CompareOptions {
  readonly metrics?: readonly Metric[];
  /** Of the permutation test, where not all arrangements are tried. */
  readonly seed?: number;
}

export type Verdict = "better" | "worse" | "no difference" | "not enough samples";

export interface ComparedRow {
  readonly system: string;
  readonly family: SystemInfo["family"];
  readonly metric: Metric;
  /** "per repeat": divided by a stock system of the same repeat; "absolute": there was none, or it is a stock system. */
  readonly basis: "per repeat" | "absolute";
  readonly cells: readonly string[];
  /** Samples that counted. */
  readonly samples: { readonly a: number; readonly b: number };
  /** B against A: 0.25 is 25 % more. For `failed`: the difference of the shares. Null when nothing can be said. */
  readonly change: number | null;
  /** Corrected over all rows of the same family; null when there are too few samples. */
  readonly p: number | null;
  readonly verdict: Verdict;
  /** The verdict in the figure's own words, such as "slower". */
  readonly words: string;
}

export interface Comparison {
  readonly cells: readonly string[];
  readonly rows: readonly ComparedRow[];
  /** What the reader has to know: interrupted runs, other machines. */
  readonly notes: readonly string[];
}

/**
 * Compares what both results have: b against a.
 * @param names  what to call them in errors
 * @throws BENCH_NOTHING_COMMON
 */
export function compareResults(
  a: BenchResult,
  b: BenchResult,
  options: CompareOptions = {},
  names = { a: "the first result", b: "the second" },
): Comparison {
  const cells = commonCells(a, b);
  const systems = a.systems.filter(
    ({ name }) =>
      b.systems.some((other) => other.name === name) &&
      cells.some((cell) => [a, b].every((r) => r.samples.some((s) => s.system === name && s.cell === cell))),
  );
  if (systems.length === 0) throw new GodwitError("BENCH_NOTHING_COMMON", names);
  const metrics = options.metrics ?? METRICS;
  const seed = options.seed ?? 1;
  // What Godwit does is judged apart from what the machine and its QEMU do: two families of tests.
  const rows = (["godwit", "stock"] as const).flatMap((family) =>
    judge(
      systems
        .filter((system) => system.family === family)
        .flatMap((system) => metrics.map((metric) => measure(a, b, system, metric, cells, seed))),
    ),
  );
  return { cells, rows, notes: notesOn(a, b) };
}

interface Measured {
  readonly row: Omit<ComparedRow, "p" | "verdict" | "words">;
  readonly p: number;
  readonly pLeast: number;
}

function measure(
  a: BenchResult,
  b: BenchResult,
  system: SystemInfo,
  metric: Metric,
  cells: readonly string[],
  seed: number,
): Measured {
  const found =
    metric === "failed"
      ? { basis: "absolute" as const, strata: failures(a, b, system.name, cells) }
      : figureStrata(a, b, system, FIGURES[metric], cells);
  const strata: Stratum[] = found.strata.map(({ stratum }) => stratum);
  const count = (side: "a" | "b") => strata.reduce((sum, stratum) => sum + stratum[side].length, 0);
  const tested = strata.length === 0 ? null : permutationTest(strata, seed);
  const change =
    tested === null ? null : metric === "failed" ? tested.difference : Math.expm1(tested.difference);
  return {
    row: {
      system: system.name,
      family: system.family,
      metric,
      basis: found.basis,
      cells: found.strata.map(({ cell }) => cell),
      samples: { a: count("a"), b: count("b") },
      change,
    },
    p: tested?.p ?? 1,
    pLeast: tested?.pLeast ?? 1,
  };
}

function judge(measured: readonly Measured[]): ComparedRow[] {
  const corrected = holm(measured, ALPHA);
  return measured.map(({ row }, i) => {
    const p = corrected[i]!;
    const verdict = verdictOf(row.metric, row.change, p);
    return { ...row, p, verdict, words: wordsOf(row.metric, verdict) };
  });
}

function verdictOf(metric: Metric, change: number | null, p: number | null): Verdict {
  if (p === null || change === null) return "not enough samples";
  // A change counts the same in both directions: by 1.05 and by 1 / 1.05.
  const size = metric === "failed" ? Math.abs(change) : Math.exp(Math.abs(Math.log1p(change))) - 1;
  if (p >= ALPHA || size <= CHANGE_LEAST) return "no difference";
  return change > 0 ? "worse" : "better";
}

function wordsOf(metric: Metric, verdict: Verdict): string {
  if (verdict !== "better" && verdict !== "worse") return verdict;
  const worse = verdict === "worse";
  if (metric === "failed") return worse ? "fails more often" : "fails less often";
  if (FIGURES[metric].unit === "ms" && metric !== "cpuMs") return worse ? "slower" : "faster";
  return worse ? "more" : "less";
}

function notesOn(a: BenchResult, b: BenchResult): string[] {
  const notes: string[] = [];
  const differ = (what: string, of: (result: BenchResult) => string) => {
    if (of(a) !== of(b)) notes.push(`${what} differs: ${of(a)} in A, ${of(b)} in B`);
  };
  differ("the processor", (r) => `${r.machine.processor}, ${r.machine.cores} cores`);
  differ("QEMU", (r) => r.qemu);
  differ("accel", (r) => r.machine.accel);
  const same = new Set(commonCells(a, b));
  const other = a.cells.filter(({ name }) => b.cells.some((cell) => cell.name === name) && !same.has(name));
  if (other.length > 0)
    notes.push(`left out, as the work is not the same: ${other.map(({ name }) => name).join(", ")}`);
  for (const [name, result] of [["A", a] as const, ["B", b] as const])
    if (result.interrupted) notes.push(`${name} was interrupted: it is not all that was asked for`);
  return notes;
}
