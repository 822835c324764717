/**
 * What is measured when. Systems take turns within a cell, so that a slow drift of the machine falls on all of them
 * alike; the order within each turn is shuffled, so that nobody always follows the same neighbour.
 */
import { randomFrom, shuffled } from "./random.ts";

/** One cell and the systems that move its guests. */
export interface CellPlan {
  readonly cell: string;
  readonly systems: readonly string[];
}

export interface Step {
  readonly system: string;
  /** From 0. */
  readonly repeat: number;
  /** Place in the whole run, from 0. */
  readonly order: number;
}

export interface PlannedCell {
  readonly cell: string;
  readonly steps: readonly Step[];
}

/**
 * The order of a run: cells shuffled, and in each cell one round per repeat in which every system has exactly one turn.
 * A cell is done in one piece, because its guests are booted once.
 * @param repeats  rounds per cell, at least 1
 */
export function planRun(cells: readonly CellPlan[], repeats: number, seed: number): PlannedCell[] {
  const random = randomFrom(seed);
  let order = 0;
  return shuffled(cells, random).map(({ cell, systems }) => {
    const rounds = Array.from({ length: repeats }, (_, repeat) =>
      shuffled(systems, random).map((system) => ({ system, repeat, order: order++ })),
    );
    return { cell, steps: rounds.flat() };
  });
}
