/** What the ratios of the literature are asked of (bench/papers.ts): small guests in the state that each paper is about. */
import { type BenchCell, cellFrom, link } from "./cell.ts";

/** The engines of the literature, the baselines that their papers used, and ours. */
const SYSTEMS = [
  ...["stock-nozero", "stock"],
  ...["godwit-precopy", "godwit-clark", "godwit-mecom", "godwit-xbrle", "godwit-reuse"],
];

export const PAPER_CELLS: readonly BenchCell[] = [
  cellFrom({
    name: "paper-mixed",
    about:
      "Text written over and over in half of a guest of 160 MiB, at 200 Mbit: something for each class of pages.",
    group: "papers",
    systems: SYSTEMS,
    memoryMib: 160,
    workload: { setMib: 32, pagesPerSec: 500, mode: "text" },
    link: link(200),
    timeLimitMs: 30_000,
  }),
  cellFrom({
    name: "paper-hot",
    about:
      "A few words in each of 6000 pages/s of 32 MiB, nine in ten of them in a tenth of it, at 100 Mbit: the heaviest writer.",
    group: "papers",
    systems: SYSTEMS,
    memoryMib: 160,
    workload: { setMib: 32, pagesPerSec: 6000, mode: "words", hotPercent: 10 },
    link: link(100),
    timeLimitMs: 30_000,
  }),
  cellFrom({
    name: "paper-light",
    about: "The same writer at 300 pages/s: what an order of pages must not cost.",
    group: "papers",
    systems: SYSTEMS,
    memoryMib: 160,
    workload: { setMib: 32, pagesPerSec: 300, mode: "words", hotPercent: 10 },
    link: link(100),
    timeLimitMs: 30_000,
  }),
];
