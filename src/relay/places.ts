import type { Barrier } from "../stream/mod.ts";

/** The numbers that `digest` and `verdict` frames give to barriers (docs/wire.md). */
const PLACES: readonly Barrier[] = ["discard", "package", "end", "devices"];

/** 1..4. */
export function placeOf(barrier: Barrier): number {
  return PLACES.indexOf(barrier) + 1;
}

/** The barrier, or undefined for a number that is none. */
export function barrierAt(place: number): Barrier | undefined {
  return PLACES[place - 1];
}
