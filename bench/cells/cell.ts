import type { Cell } from "../../src/bench/mod.ts";

export const GROUPS = [
  "quick",
  "writers",
  "papers",
  "loads",
  "postcopy",
  "pushorders",
  "hybrid",
  "freeable",
  "curves",
] as const;
export type Group = (typeof GROUPS)[number];

/** A cell as the bench runs it: what a result says of it, and what only the runner needs. */
export interface BenchCell extends Cell {
  readonly group: Group;
  /** Besides its working set the guest fills so much memory with what cannot be compressed. */
  readonly fillMib: number;
  /** Measured in it unless systems are named; null: all there are. */
  readonly systems: readonly string[] | null;
}

/** A cell that says only what is different from a small quiet guest on a 1 Gbit link. */
export type CellDraft = Pick<BenchCell, "name" | "about" | "group"> &
  Partial<Omit<BenchCell, "workload">> & { readonly workload?: Partial<Cell["workload"]> };

/** Bytes per second of a link that is sold by megabits. */
export function mbit(rate: number): number {
  return (rate * 1e6) / 8;
}

/** The shape of a link without latency of its own. */
export function link(rateMbit: number): Cell["link"] {
  return { bytesPerSec: mbit(rateMbit), latencyMs: 0, jitterMs: 0 };
}

/** Fills in what the draft leaves open. */
export function cellFrom(draft: CellDraft): BenchCell {
  const { workload, ...said } = draft;
  return {
    load: "none",
    memoryMib: 128,
    cpus: 1,
    link: link(1000),
    guests: 1,
    timeLimitMs: 60_000,
    slaLimitMs: 100,
    factor: null,
    fillMib: 0,
    systems: null,
    ...said,
    workload: { setMib: 16, pagesPerSec: 0, mode: "idle", ...workload },
  };
}

/** What a result keeps of it. */
export function resultCell({ group: _, fillMib: __, systems: ___, ...cell }: BenchCell): Cell {
  return cell;
}
