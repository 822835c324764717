/** Synthetic writers: 256 MiB guests that write 64 MiB of it in one manner each, and one that does nothing. */
import { type BenchCell, cellFrom, link } from "./cell.ts";

/** All that a user could pick. The engines of the literature have cells of their own (papers.ts). */
const SYSTEMS = [
  ...["stock-nozero", "stock", "stock-xbzrle", "stock-multifd-zstd", "stock-postcopy"],
  ...["stock-postcopy-after-pass", "stock-postcopy-capped", "stock-postcopy-preempt"],
  ...["godwit-precopy", "godwit-plain", "godwit-auto-16m"],
  ...["godwit-stop-and-copy", "godwit-postcopy", "godwit-hybrid"],
];

interface Writer {
  readonly name: string;
  readonly mode: string;
  readonly pagesPerSec: number;
  readonly rateMbit: number;
  readonly about: string;
}

const WRITERS: readonly Writer[] = [
  {
    name: "words",
    mode: "words",
    pagesPerSec: 4000,
    rateMbit: 100,
    about: "A few words in each of 4000 pages/s, more than the link of 100 Mbit carries as whole pages.",
  },
  {
    name: "words-12000",
    mode: "words",
    pagesPerSec: 12_000,
    rateMbit: 100,
    about:
      "A few words in each of 12000 pages/s: four times what the link of 100 Mbit carries as whole pages.",
  },
  {
    name: "text",
    mode: "text",
    pagesPerSec: 2000,
    rateMbit: 200,
    about: "2000 pages/s rewritten with text that can be compressed to a third, at 200 Mbit.",
  },
  {
    name: "dup",
    mode: "dup",
    pagesPerSec: 2000,
    rateMbit: 200,
    about: "2000 pages/s that each become one of 16 contents, at 200 Mbit.",
  },
  {
    name: "random",
    mode: "random",
    pagesPerSec: 2000,
    rateMbit: 200,
    about: "2000 pages/s rewritten with what cannot be compressed, at 200 Mbit.",
  },
  { name: "idle", mode: "idle", pagesPerSec: 0, rateMbit: 200, about: "An idle guest at 200 Mbit." },
];

export const WRITER_CELLS: readonly BenchCell[] = WRITERS.map(
  ({ name, about, mode, pagesPerSec, rateMbit }) =>
    cellFrom({
      name,
      about,
      group: "writers",
      systems: SYSTEMS,
      memoryMib: 256,
      workload: { setMib: 64, pagesPerSec, mode },
      link: link(rateMbit),
    }),
);
