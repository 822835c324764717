/** What runs in the guests of the bench, with the clients that judge them. */
export { diskOfLoads } from "./images.ts";
export { LOADS, loadNamed } from "./list.ts";
