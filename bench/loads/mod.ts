/** What runs in the guests of the bench, with the clients that judge them. */
export { LOADS, loadNamed } from "./list.ts";
