/** Part of the table of errors (table.ts): the bench and its results. */
import type { AboutError } from "./about.ts";

export interface BenchFields {
  BENCH_UNKNOWN: { kind: "cell" | "system" | "load"; name: string; known: string };
  BENCH_NO_NETWORK: { load: string };
  BENCH_TIME_OVER: { timeLimitMs: number; phase: string };
  BENCH_RESULT_INVALID: { source: string; problem: string };
  BENCH_LOAD_FAILED: { load: string; reason: string };
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
  BENCH_NO_NETWORK: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `The load ${f.load} needs a network between guest and client, and there is none here`,
    wayOut: "Run the bench as root where network namespaces can be made, or leave its cells out (--cells).",
  },
  BENCH_TIME_OVER: {
    http: 504,
    exit: 4,
    retry: true,
    say: (f) => `The move had not ended after ${f.timeLimitMs} ms (status: ${f.phase})`,
    wayOut: "The guest writes faster than this link carries: a faster link, fewer writes, or another system.",
  },
  BENCH_RESULT_INVALID: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `${f.source} is no result of this bench: ${f.problem}`,
    wayOut: "Give a JSON file that `npm run bench` wrote; one of another version has to be measured anew.",
  },
  BENCH_LOAD_FAILED: {
    http: 500,
    exit: 3,
    retry: true,
    say: (f) => `The load ${f.load} does not do its work: ${f.reason}`,
    wayOut:
      "Look at the guest's console; if the machine is very busy or the guest has little memory, give it more.",
  },
  BENCH_NOTHING_COMMON: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `${f.a} and ${f.b} have no cell and system in common`,
    wayOut: "Compare runs of the same cells and systems (--cells, --systems).",
  },
};
