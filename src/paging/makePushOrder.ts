import { Bubbles } from "./bubbles.ts";
import { Demand } from "./demand.ts";
import { FirstPages } from "./firstPages.ts";
import { Forward, Linear } from "./forward.ts";
import type { PushOrder, PushOrderName, Waiting } from "./types.ts";

/** Pivots of `bubbles`. */
const PIVOTS = 7;
/** Pages from a bubble's edge within which a fault belongs to it. */
const NEAR_PAGES = 64;

const ORDERS: Readonly<Record<PushOrderName, (waiting: Waiting) => PushOrder>> = {
  auto: (waiting) => new Bubbles(waiting, { pivots: PIVOTS, nearPages: NEAR_PAGES, leans: true }),
  demand: (waiting) => new Linear(waiting),
  linear: (waiting) => new Linear(waiting),
  forward: (waiting) => new Forward(waiting),
  bubble: (waiting) => new Bubbles(waiting, { pivots: 1, nearPages: 0, leans: false }),
  bubbles: (waiting) => new Bubbles(waiting, { pivots: PIVOTS, nearPages: NEAR_PAGES, leans: false }),
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
