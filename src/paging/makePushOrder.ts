import { Bubbles } from "./bubbles.ts";
import { Demand } from "./demand.ts";
import { FirstPages } from "./firstPages.ts";
import { Forward, Linear } from "./forward.ts";
import { Leaning } from "./leaning.ts";
import type { PushOrder, PushOrderName, Waiting } from "./types.ts";

/**
 * Pivots of `bubbles`: as in the paper. By simulation more pivots have fewer faults and longer waits, because each grows more
 * slowly: faults 7.8 % of the working set with 1, 7.5 % with 5, 7.3 % with 7; stall 1.00, 1.37 and 1.38 (1 Gbit/s).
 */
const PIVOTS = 7;
/** Pages from a bubble's edge within which a fault belongs to it. From 8 to 1024 it hardly matters. */
const NEAR_PAGES = 64;

/** Of one post-copy each. */
const ORDERS: Readonly<Record<PushOrderName, (waiting: Waiting) => PushOrder>> = {
  // Stall by simulation (`npm run bench:paging`, geometric means, 0.5 ms / 10 ms round trip): this 1, forward 1.4 / 1.4,
  // bubble 1.7 / 1.5, bubbles 2.3 / 1.7, linear 7.5 / 4.2.
  auto: (waiting) => new Leaning(waiting, NEAR_PAGES),
  demand: (waiting) => new Linear(waiting),
  linear: (waiting) => new Linear(waiting),
  forward: (waiting) => new Forward(waiting),
  bubble: (waiting) => new Bubbles(waiting, { pivots: 1, nearPages: 0 }),
  bubbles: (waiting) => new Bubbles(waiting, { pivots: PIVOTS, nearPages: NEAR_PAGES }),
};

/**
 * An order of pushes for one post-copy (docs/postcopy.md says what each is good for).
 *
 * Whatever waits is chosen, and only that, whenever it comes to wait: after -1 there may be more to choose. The caller takes
 * what `next` chose out of `waiting` at once; pages that leave otherwise (answers) need not be told. Nothing is allocated
 * per page.
 *
 * @param options.firstPages  leave before all others, in this order, as far as they wait when their turn comes; those that
 *   come to wait later follow soon after that. `demand` holds them too. Numbers that are no pages are passed over.
 */
export function makePushOrder(
  name: PushOrderName,
  waiting: Waiting,
  options: { readonly firstPages?: readonly number[] | Int32Array } = {},
): PushOrder {
  let order = ORDERS[name](waiting);
  if (options.firstPages !== undefined && options.firstPages.length > 0) {
    order = new FirstPages(waiting, order, options.firstPages);
  }
  return name === "demand" ? new Demand(order) : order;
}
