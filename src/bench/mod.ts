/** Results of the bench: what is in one, and what can be said of two. Measuring itself is in `bench/`. */
export {
  type BenchResult,
  type Cell,
  type ClientFigures,
  type ClientPhase,
  FACTORS,
  type Factor,
  type Ledger,
  type LinkShape,
  parseResult,
  RESULT_FORMAT,
  type Sample,
  type SystemInfo,
  type TimelinePoint,
} from "./result.ts";
export { type Summary, say, summary } from "./summary.ts";
