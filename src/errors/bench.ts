/** Part of the table of errors (table.ts): the bench and its results. */
import type { AboutError } from "./about.ts";

export interface BenchFields {
  BENCH_UNKNOWN: { kind: "cell" | "system" | "load"; name: string; known: string };
  BENCH_RESULT_INVALID: { source: string; problem: string };
  BENCH_NOTHING_COMMON: { a: string; b: string };
}

export const ABOUT_BENCH: { readonly [C in keyof BenchFields]: AboutError<BenchFields[C]> } = {
  BENCH_UNKNOWN: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `There is no ${f.kind} ${f.name}; known are: ${f.known}`,
    wayOut: "Name one of the known ones, several with commas between them.",
  },
  BENCH_RESULT_INVALID: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `${f.source} is no result of this bench: ${f.problem}`,
    wayOut: "Give a JSON file that `npm run bench` wrote; one of another version has to be measured anew.",
  },
  BENCH_NOTHING_COMMON: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `${f.a} and ${f.b} have no cell and system in common`,
    wayOut: "Compare runs of the same cells and systems (--cells, --systems).",
  },
};
