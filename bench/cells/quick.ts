/** Small guests on quick links: all of it, with three repeats and the report, ends within five minutes on two cores. */
import { type BenchCell, cellFrom, link } from "./cell.ts";

const SYSTEMS = ["stock", "stock-multifd-zstd", "stock-postcopy", "godwit-precopy", "godwit-postcopy"];

export const QUICK_CELLS: readonly BenchCell[] = [
  cellFrom({
    name: "quick-idle",
    about: "An idle guest of 128 MiB at 1 Gbit: what a move costs when there is nothing to wait for.",
    group: "quick",
    systems: SYSTEMS,
    timeLimitMs: 15_000,
  }),
  cellFrom({
    name: "quick-words",
    about: "A guest of 160 MiB writes a few words in each of 1500 pages/s of 24 MiB, at 200 Mbit.",
    group: "quick",
    systems: SYSTEMS,
    memoryMib: 160,
    workload: { setMib: 24, pagesPerSec: 1500, mode: "words" },
    link: link(200),
    timeLimitMs: 15_000,
  }),
];
