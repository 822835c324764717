/** Results of the bench: what is in one, and what can be said of two. Measuring itself is in `bench/`. */
export {
  ALPHA,
  CHANGE_LEAST,
  type ComparedRow,
  type CompareOptions,
  type Comparison,
  compareResults,
  METRICS,
  type Metric,
  type Verdict,
} from "./compare.ts";
export { comparisonText } from "./compareText.ts";
export { FIGURE_NAMES, FIGURES, type Figure, type FigureName } from "./figures.ts";
export { seededRandom } from "./random.ts";
export { readResult } from "./readResult.ts";
export {
  type BenchResult,
  type Cell,
  type ClientFigures,
  type ClientPhase,
  type EngineWork,
  FACTORS,
  type Factor,
  type Floor,
  type Ledger,
  type LinkShape,
  type PagingWork,
  parseResult,
  RESULT_FORMAT,
  type Sample,
  type SystemInfo,
  type TimelinePoint,
} from "./result.ts";
export { type Summary, say, summary } from "./summary.ts";
