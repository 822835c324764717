/** What the guest had to ask for in post-copy, as a share of what it works on. */
import type { Cell, Ledger } from "../../src/bench/mod.ts";

const PAGES_PER_MIB = 256;

/** Pages that oracle and load of one guest work on. */
export function workingPages({ workingMib, workload }: Pick<Cell, "workingMib" | "workload">): number {
  return (workingMib ?? workload.setMib) * PAGES_PER_MIB;
}

/**
 * Pages that crossed because the guest asked for them (Hines and Gopalan, VEE 2009: network faults). Stock QEMU counts
 * requests only, also those for pages that were on their way.
 * @returns null where nobody counted
 */
export function networkFaults({ paging, requests }: Pick<Ledger, "paging" | "requests">): number | null {
  return paging?.answered ?? requests ?? null;
}

/** Network faults by the pages of the working set; 1 is as many as it has. The pager's figures are of one guest. */
export function faultShareOf(ledger: Ledger, cell: Cell): number | null {
  const faults = networkFaults(ledger);
  const guests = ledger.paging == null ? cell.guests : 1;
  return faults === null ? null : faults / (workingPages(cell) * guests);
}
