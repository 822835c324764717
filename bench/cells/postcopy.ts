/**
 * Post-copy: guests that write and read in three manners, on two links, by stock QEMU's variants and ours; the orders of
 * our pushes side by side; and a writer that pre-copy never gets hold of.
 */
import { PUSH_ORDERS } from "../../src/paging/mod.ts";
import { type BenchCell, type CellDraft, cellFrom, link } from "./cell.ts";

/** Plain, and as an operator tunes it, beside what a user of ours would pick. */
const AGAINST_STOCK = [
  ...["stock-postcopy", "stock-postcopy-capped", "stock-postcopy-preempt"],
  ...["godwit-postcopy", "godwit-hybrid"],
];
/** The first is `auto`. */
const EVERY_ORDER = PUSH_ORDERS.map((order) =>
  order === "auto" ? "godwit-postcopy" : `godwit-postcopy-${order}`,
);

interface Manner {
  readonly mode: string;
  readonly about: string;
}

/** Each works on 64 MiB of a guest of 256 MiB; 100 Mbit carry about 3050 pages/s, 1 Gbit 30 500. */
const MANNERS: readonly Manner[] = [
  { mode: "words", about: "A few words in each of 4000 random pages/s" },
  { mode: "read", about: "4000 pages/s of the whole set read at random" },
  { mode: "scan", about: "The whole set read in order, 4000 pages/s" },
];
const RATES_MBIT = [100, 1000];
/** Order `demand` pushes nothing while the guest asks: it takes as long as the guest needs to touch what it works on. */
const ORDERS_MS_MAX = 180_000;

function guest(draft: Omit<CellDraft, "workload">, workload: Partial<BenchCell["workload"]>): BenchCell {
  return cellFrom({ memoryMib: 256, ...draft, workload: { setMib: 64, pagesPerSec: 4000, ...workload } });
}

const AGAINST_STOCK_CELLS = MANNERS.flatMap(({ mode, about }) =>
  RATES_MBIT.map((rateMbit) =>
    guest(
      {
        name: `postcopy-${mode}-${rateMbit}`,
        about: `${about}, at ${rateMbit} Mbit.`,
        group: "postcopy",
        systems: AGAINST_STOCK,
        link: link(rateMbit),
      },
      { mode },
    ),
  ),
);

const WRITER_AND_READERS = MANNERS.map(({ mode, about }) =>
  guest(
    {
      name: `pushorders-${mode}`,
      about: `${about}, at 100 Mbit: which pages the guest has to ask for.`,
      group: "pushorders",
      systems: EVERY_ORDER,
      timeLimitMs: ORDERS_MS_MAX,
      link: link(100),
    },
    { mode },
  ),
);

/** The loads' cells with their own pages counted in: what Redis and SQLite hold is what they work on. */
const SERVERS = [
  { load: "redis", setMib: 48, about: "Redis under GET and SET from outside" },
  { load: "sqlite", setMib: 9, about: "Transactions like those of TPC-B on SQLite" },
].map(({ load, setMib, about }) =>
  guest(
    {
      name: `pushorders-${load}`,
      about: `${about}, at 100 Mbit.`,
      group: "pushorders",
      systems: EVERY_ORDER,
      timeLimitMs: ORDERS_MS_MAX,
      load,
      slaLimitMs: 250,
      link: link(100),
      workingMib: setMib + 16,
    },
    { setMib: 16, pagesPerSec: 100, mode: "words" },
  ),
);

/** Encodings get hold of the first, nothing of the second. */
function hybrid(
  about: string,
  workload: { readonly mode: string; readonly pagesPerSec?: number },
): BenchCell {
  return guest(
    {
      name: `hybrid-${workload.mode}`,
      about,
      group: "hybrid",
      systems: ["stock-postcopy", "godwit-hybrid"],
      link: link(100),
    },
    workload,
  );
}

export const POSTCOPY_CELLS: readonly BenchCell[] = [
  ...AGAINST_STOCK_CELLS,
  ...WRITER_AND_READERS,
  ...SERVERS,
  hybrid("A few words in each of 12000 pages/s at 100 Mbit, four times what the link carries as pages.", {
    mode: "words",
    pagesPerSec: 12_000,
  }),
  hybrid("4000 pages/s rewritten with what cannot be compressed at 100 Mbit, which carry 3050.", {
    mode: "random",
  }),
];
