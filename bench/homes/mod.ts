/** Homes keep the guests of one family on a stage and move them. */
export { openStockHome } from "./stockHome.ts";
