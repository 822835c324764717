/** What has to be moved: guests, what runs in them, links. */
export { type BenchCell, GROUPS, type Group, mbit, resultCell } from "./cell.ts";
export { CELLS, cellsNamed } from "./names.ts";
