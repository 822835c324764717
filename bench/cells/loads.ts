/** What people run, judged by its clients; the oracle writes a little beside each. */
import { type BenchCell, type CellDraft, cellFrom, link, mbit } from "./cell.ts";

// The limits for clients leave room for TCG: at rest the slowest of 100 requests took 12 to 27 ms (Redis) and 69 to 89 ms
// (nginx) on quiet cores (bench/results/2026-11-22T1524-e303ecc.md), and far more on busy ones.

/** What a user would choose from; the variants of post-copy are told apart by the writers' cells. */
const SYSTEMS = [
  ...["stock", "stock-xbzrle", "stock-multifd-zstd", "stock-postcopy"],
  ...["godwit-precopy", "godwit-postcopy", "godwit-hybrid"],
];

const load = (draft: Omit<CellDraft, "group" | "systems">): BenchCell =>
  cellFrom({
    group: "loads",
    systems: SYSTEMS,
    memoryMib: 256,
    ...draft,
    workload: { setMib: 16, pagesPerSec: 100, mode: "words", ...draft.workload },
  });

export const LOAD_CELLS: readonly BenchCell[] = [
  load({
    name: "redis",
    load: "redis",
    slaLimitMs: 250,
    about: "Redis under GET and SET from outside, at 1 Gbit: connections have to live on.",
  }),
  load({
    name: "redis-200",
    load: "redis",
    slaLimitMs: 250,
    link: link(200),
    about: "The same Redis, migrated over 200 Mbit.",
  }),
  load({
    name: "nginx",
    load: "nginx",
    slaLimitMs: 500,
    about: "nginx serves files to a client outside on connections that are kept, at 1 Gbit.",
  }),
  load({
    name: "sqlite",
    load: "sqlite",
    slaLimitMs: 250,
    link: link(200),
    about: "Transactions like those of TPC-B on SQLite, within the guest, at 200 Mbit.",
  }),
  load({
    name: "compile",
    load: "compile",
    slaLimitMs: 1000,
    about: "A compiler runs in a loop within the guest, at 1 Gbit.",
  }),
  load({
    name: "stress-ng",
    load: "stress-ng",
    slaLimitMs: 2000,
    about: "stress-ng --vm with one method after another, at 1 Gbit.",
  }),
  load({
    name: "pagecache",
    load: "pagecache",
    link: link(200),
    workload: { pagesPerSec: 0, mode: "idle" },
    about: "An idle guest whose page cache is full of its disk, at 200 Mbit.",
  }),
  load({
    name: "wan",
    load: "redis",
    slaLimitMs: 250,
    link: { bytesPerSec: mbit(50), latencyMs: 40, jitterMs: 5 },
    timeLimitMs: 120_000,
    about: "Redis, migrated to another city: 50 Mbit, 40 ms one way, evenly spread by 5 ms.",
  }),
];
