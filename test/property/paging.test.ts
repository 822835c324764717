/**
 * Goal: a set of pages is a set, whatever is done to it; and whatever waits is pushed exactly once, until nothing waits,
 * by every order, while the guest asks, answers leave and pages are still being drained.
 * Method: random sequences of orders against JavaScript's own Set. What an order must not do is found by its pager: choose
 * a page that does not wait, or say -1 while one waits.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { makePushOrder, PageSet, PUSH_ORDERS } from "../../src/paging/mod.ts";

/** Words, their edges, and three levels of summaries. */
const totals = fc.constantFrom(1, 2, 31, 32, 33, 64, 1024, 1025, 33_000);

const setOrders = totals.chain((totalPages) => {
  // Often close to each other, so that words and summaries become empty one after the other.
  const page = fc.oneof(fc.nat(totalPages - 1), fc.nat(Math.min(totalPages - 1, 100)));
  return fc.tuple(
    fc.constant(totalPages),
    fc.array(
      fc.record({
        do: fc.constantFrom("add", "add", "delete", "delete", "range", "clear") as fc.Arbitrary<
          "add" | "delete" | "range" | "clear"
        >,
        page,
        count: fc.oneof(fc.nat(70), fc.nat(totalPages)),
        ask: fc.oneof(page, fc.constant(0), fc.constant(totalPages - 1)),
      }),
      { maxLength: 60 },
    ),
  );
});

describe("PageSet", () => {
  it("is a set, with the nearest page on either side", () => {
    fc.assert(
      fc.property(setOrders, ([totalPages, orders]) => {
        const set = new PageSet(totalPages);
        const model = new Set<number>();
        for (const { do: what, page, count, ask } of orders) {
          if (what === "add") assert.equal(set.add(page), model.size !== model.add(page).size);
          else if (what === "delete") assert.equal(set.delete(page), model.delete(page));
          else if (what === "range") {
            const before = model.size;
            const fits = Math.min(count, totalPages - page);
            for (let i = 0; i < fits; i++) model.add(page + i);
            assert.equal(set.addRange(page, fits), model.size - before);
          } else if (model.size > 20) {
            set.clear();
            model.clear();
          }
          assert.equal(set.count, model.size);
          assert.equal(set.has(ask), model.has(ask));
          let next = ask;
          while (next < totalPages && !model.has(next)) next++;
          assert.equal(set.nextAt(ask), next < totalPages ? next : -1);
          let previous = ask;
          while (previous >= 0 && !model.has(previous)) previous--;
          assert.equal(set.previousAt(ask), previous);
        }
      }),
      { numRuns: 150 },
    );
  });
});

const PAGES = 500;
const page = fc.nat(PAGES - 1);
const near = fc.tuple(fc.nat(PAGES - 40), fc.nat(39)).map(([base, off]) => base + off);
/** What happens between pushes. */
const events = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("fault" as const), page: fc.oneof(page, near) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("drained" as const), page, count: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("answered" as const), page }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("release" as const) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant("push" as const), count: fc.nat(40) }) },
  ),
  { maxLength: 80 },
);

describe("every order of pushes", () => {
  for (const name of PUSH_ORDERS) {
    it(`${name}: whatever waits is chosen exactly once`, () => {
      fc.assert(
        fc.property(events, fc.array(fc.integer({ min: -2, max: PAGES + 1 })), (happens, firstPages) => {
          const waiting = new PageSet(PAGES);
          /** Drained once: no page comes twice. */
          const drained = new Set<number>();
          const order = makePushOrder(name, waiting, { firstPages });
          const push = (): boolean => {
            const chosen = order.next();
            if (chosen === -1) return false;
            assert.ok(waiting.delete(chosen), `${chosen} does not wait`);
            return true;
          };
          let mayHold = name === "demand";
          const pushes = (count: number): void => {
            for (let i = 0; i < count; i++) {
              const waited = waiting.count;
              if (!push() && !mayHold) assert.equal(waited, 0, `-1 while ${waited} pages wait`);
            }
          };
          for (const event of happens) {
            if (event.do === "fault") {
              order.fault(event.page);
              mayHold = name === "demand";
            } else if (event.do === "release") {
              order.release();
              mayHold = false;
            } else if (event.do === "answered") waiting.delete(event.page);
            else if (event.do === "push") pushes(event.count);
            else {
              for (let at = event.page; at < Math.min(PAGES, event.page + event.count); at++) {
                if (drained.has(at)) continue;
                drained.add(at);
                waiting.add(at);
              }
            }
          }
          order.release();
          mayHold = false;
          pushes(PAGES + 1);
          assert.equal(waiting.count, 0);
        }),
        { numRuns: 150 },
      );
    });
  }
});
