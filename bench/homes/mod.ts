/** Homes keep the guests of one family on a stage and move them. */
export { openGodwitHome } from "./godwitHome.ts";
export { openStockHome } from "./stockHome.ts";
