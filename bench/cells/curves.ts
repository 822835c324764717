/** One factor at a time (Akoush 2010; Nathan 2015): the rest of the cell stays as it is. */
import type { Factor } from "../../src/bench/mod.ts";
import { type BenchCell, type CellDraft, cellFrom, link, mbit } from "./cell.ts";

const SYSTEMS = ["stock", "stock-postcopy", "godwit-precopy", "godwit-postcopy"];

function point(factor: Factor, x: number, draft: Omit<CellDraft, "name" | "group" | "factor">): BenchCell {
  return cellFrom({
    systems: SYSTEMS,
    ...draft,
    name: `${factor}-${x}`,
    group: "curves",
    factor: { name: factor, x },
  });
}

/** 100 Mbit carry about 3050 pages/s. */
const DIRTY_RATES = [300, 800, 1500, 2300, 3000, 4500];
const LINK_RATES_MBIT = [10, 30, 100, 200, 500, 1000];
const RAM_MIB = [128, 256, 512, 1024, 2048, 4096];
const GUESTS = [1, 2, 4, 8];

export const CURVE_CELLS: readonly BenchCell[] = [
  ...DIRTY_RATES.map((pagesPerSec) =>
    point("dirtyRate", pagesPerSec, {
      about: `A few words in each of ${pagesPerSec} pages/s, on a link of 100 Mbit, which carries 3050.`,
      memoryMib: 160,
      workload: { setMib: 48, pagesPerSec, mode: "words" },
      link: link(100),
      timeLimitMs: 45_000,
    }),
  ),
  ...LINK_RATES_MBIT.map((rateMbit) => ({
    ...point("linkRate", mbit(rateMbit), {
      about: `A small guest that writes 100 pages/s, on a link of ${rateMbit} Mbit.`,
      workload: { pagesPerSec: 100, mode: "words" },
      link: link(rateMbit),
      timeLimitMs: 180_000,
    }),
    name: `linkRate-${rateMbit}mbit`,
  })),
  ...RAM_MIB.map((memoryMib) => {
    const fillMib = memoryMib === 128 ? 0 : memoryMib / 2;
    return point("ram", memoryMib, {
      about: `${memoryMib} MiB of RAM, ${fillMib === 0 ? "nearly empty" : "half of it full of what cannot be compressed"}, at 1 Gbit.`,
      memoryMib,
      fillMib,
      workload: { pagesPerSec: 100, mode: "words" },
      timeLimitMs: 120_000,
    });
  }),
  ...GUESTS.map((guests) =>
    point("guests", guests, {
      about: `${guests === 1 ? "One guest" : `${guests} guests at once`} of 128 MiB over one link of 1 Gbit.`,
      guests,
      workload: { pagesPerSec: 100, mode: "words" },
    }),
  ),
];
