/** What the micro benches have in common: paired rounds beside a plain copy of memory on the same machine. */
import { summary } from "../../src/bench/mod.ts";

/** How much is measured. `tiny` only shows that a bench still runs: its figures say nothing. */
export interface Effort {
  readonly rounds: number;
  /** Long enough for the clock, short enough for a shared machine. */
  readonly roundBytes: number;
  /** Far more than a processor's cache. */
  readonly largeBytes: number;
  readonly linkBytes: number;
  readonly linkRounds: number;
}

const MIB = 2 ** 20;
export const FULL: Effort = {
  rounds: 15,
  roundBytes: 192 * MIB,
  largeBytes: 128 * MIB,
  linkBytes: 2048 * MIB,
  linkRounds: 3,
};
export const TINY: Effort = {
  rounds: 2,
  roundBytes: 4 * MIB,
  largeBytes: 2 * MIB,
  linkBytes: 16 * MIB,
  linkRounds: 1,
};

export interface Figure {
  readonly name: string;
  /** Median of the rounds. */
  readonly bytesPerSec: number;
  /** The best round: on a shared machine the figure closest to what the processor can do. */
  readonly bestBytesPerSec: number;
  /** Median of its rate by that of the copy next to it: 1 is as fast as copying the same bytes once. */
  readonly ofCopy: number;
  /** More of it, in words. */
  readonly note?: string;
}

/** The rate of `work`, which handles so many bytes. */
export function bytesPerSec(bytes: number, work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return (bytes * 1e9) / Number(process.hrtime.bigint() - start);
}

/**
 * Runs rounds of `work` and of `copy` in turns. The first two are left out: the engine still compiles.
 * @param work  handles `bytes` bytes
 * @param copy  copies as many
 */
export function beside(
  name: string,
  effort: Effort,
  bytes: number,
  work: () => void,
  copy: () => void,
): Figure {
  const worked: number[] = [];
  const ratios: number[] = [];
  for (let round = -2; round < effort.rounds; round++) {
    const workRate = bytesPerSec(bytes, work);
    const copyRate = bytesPerSec(bytes, copy);
    if (round < 0) continue;
    worked.push(workRate);
    ratios.push(workRate / copyRate);
  }
  const { median, most } = summary(worked);
  return { name, bytesPerSec: median, bestBytesPerSec: most, ofCopy: summary(ratios).median };
}

/** What is said of an aim: the smallest ratio to a copy that we want. */
export function aimNote(aim: number, ofCopy: number): string {
  return `aim ${aim}${ofCopy < aim ? ", MISSED" : ""}`;
}

/** Copies `count` pages one by one, again from the beginning of `length` bytes: what moving them once more would cost. */
export function copyPages(bytes: Uint8Array, from: number, to: number, length: number, total: number): void {
  const PAGE_BYTES = 4096;
  for (let done = 0; done < total; ) {
    for (let base = 0; base < length && done < total; base += PAGE_BYTES) {
      bytes.set(bytes.subarray(from + base, from + base + PAGE_BYTES), to + base);
      done += PAGE_BYTES;
    }
  }
}
