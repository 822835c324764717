/** Guests whose RAM is full of what need not move: memory that was freed, and page cache. */
import { type BenchCell, cellFrom, link } from "./cell.ts";

/** Stock QEMU asks for hints by itself; `godwit-unhinted` is the same move without. */
const SYSTEMS = ["stock", "godwit-unhinted", "godwit-precopy", "godwit-balloon"];

const WORK = [
  { name: "freeable-quiet", load: "none", about: "Beside a quiet writer" },
  { name: "freeable-sqlite", load: "sqlite", about: "Beside transactions on SQLite" },
];

export const FREEABLE_CELLS: readonly BenchCell[] = WORK.map(({ name, load, about }) =>
  cellFrom({
    name,
    about: `${about} 96 MiB that were written and freed, and 64 MiB of page cache, in 256 MiB of RAM, at 100 Mbit.`,
    group: "freeable",
    systems: SYSTEMS,
    load,
    memoryMib: 256,
    slaLimitMs: 250,
    link: link(100),
    freeable: { freedMib: 96, cachedMib: 64 },
    workload: { setMib: 16, pagesPerSec: 100, mode: "words" },
  }),
);
