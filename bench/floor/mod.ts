/** How little could cross: what the guests of a cell hold before their first move, told once and packed as well as we can. */
export { floorOf, type PackEffort } from "./floor.ts";
export { measureFloor } from "./measure.ts";
