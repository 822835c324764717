/**
 * Goal: whatever a policy says and however small the room, no version is forgotten, none is sent twice, the newest of each
 * page is sent last, and what waits stays within its region.
 * Method: random sequences of orders against the simplest model there is (a map of newest versions and a list of what was
 * sent), with every policy and with one that says anything; contents are checked byte by byte, also around the region.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { buildKernels } from "../../kernels/build.ts";
import { loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { Holding, makePolicy, POLICY_NAMES, type Policy } from "../../src/pages/mod.ts";

const PAGES = 24;
const SLOTS_MAX = 6;
const GUARD = 0xa5;

type Order =
  | { readonly do: "offer" | "zero" | "flushPage"; readonly page: number }
  | { readonly do: "pump" | "limit"; readonly count: number }
  | { readonly do: "pass" | "flush" };

const page = fc.nat(PAGES - 1);
const order: fc.Arbitrary<Order> = fc.oneof(
  { weight: 12, arbitrary: page.map((page): Order => ({ do: "offer", page })) },
  { weight: 2, arbitrary: page.map((page): Order => ({ do: "zero", page })) },
  { weight: 1, arbitrary: page.map((page): Order => ({ do: "flushPage", page })) },
  { weight: 2, arbitrary: fc.nat(3).map((count): Order => ({ do: "pump", count })) },
  { weight: 1, arbitrary: fc.nat(SLOTS_MAX + 1).map((count): Order => ({ do: "limit", count })) },
  { weight: 2, arbitrary: fc.constant<Order>({ do: "pass" }) },
  { weight: 1, arbitrary: fc.constant<Order>({ do: "flush" }) },
);
/** Sweeps in order of place, as QEMU makes them, with anything in between. */
const sweeps = fc
  .array(fc.tuple(fc.uniqueArray(page, { maxLength: 12 }), fc.array(order, { maxLength: 4 })), {
    maxLength: 8,
  })
  .map((passes) =>
    passes.flatMap(([pages, others]): Order[] => [
      { do: "pass" },
      ...pages.toSorted((a, b) => a - b).map((page): Order => ({ do: "offer", page })),
      ...others,
    ]),
  );
const orders = fc.oneof(fc.array(order, { maxLength: 120 }), sweeps);

/** Says anything, by a list that it goes round. */
function wild(ranks: readonly number[], leavesWhenIdle: boolean): Policy {
  let at = 0;
  return { leavesWhenIdle, pass() {}, room() {}, rank: () => ranks[at++ % ranks.length]! };
}

const policy: fc.Arbitrary<(slots: number) => Policy> = fc.oneof(
  fc
    .constantFrom(...POLICY_NAMES)
    .filter((name) => name !== "auto" && name !== "stream")
    .map((name) => (slots: number) => makePolicy(name as "rapid", { totalPages: PAGES, slots })!),
  fc
    .tuple(fc.array(fc.constantFrom(0, 1, 2, 7, 254, 255), { minLength: 1, maxLength: 20 }), fc.boolean())
    .map(
      ([ranks, idle]) =>
        () =>
          wild(ranks, idle),
    ),
);

describe("holding, properties", () => {
  let kernels: PageKernels;
  before(async () => {
    await buildKernels();
    kernels = loadKernels({ memoryBytes: 4 * 2 ** 20 });
  });

  it("sends the newest version of each page last, each version once at most, and nothing else", () => {
    fc.assert(
      fc.property(policy, fc.integer({ min: 1, max: SLOTS_MAX }), orders, (policyFor, slots, todo) => {
        const { freeStart: offered, bytes } = kernels;
        const region = { start: offered + 2 * PAGE_BYTES, bytes: slots * PAGE_BYTES };
        bytes.fill(GUARD, offered, region.start + region.bytes + PAGE_BYTES);

        const newest = new Map<number, number>();
        const sentLast = new Map<number, number>();
        const sent = new Set<number>();
        let version = 0;
        let limit = slots;

        const holding = new Holding(kernels, region, policyFor(slots), PAGES, (page, address, lo, hi) => {
          const [is, zero] = address === 0 ? [newest.get(page)!, true] : [lo, false];
          if (!zero) {
            assert.equal(hi, ~is, "both halves of the hash are the version's own");
            const content = new Int32Array(bytes.buffer, address, PAGE_BYTES / 4);
            assert.ok(
              content.every((word) => word === is),
              `the content of version ${is}`,
            );
          }
          assert.ok(!sent.has(is), `version ${is} of page ${page} is sent twice`);
          sent.add(is);
          assert.ok(is > (sentLast.get(page) ?? 0), `version ${is} of page ${page} comes after a newer one`);
          sentLast.set(page, is);
        });

        for (const order of todo) {
          if (order.do === "offer") {
            newest.set(order.page, ++version);
            new Int32Array(bytes.buffer, offered, PAGE_BYTES / 4).fill(version);
            holding.offer(order.page, offered, version, ~version);
            bytes.fill(GUARD, offered, offered + PAGE_BYTES);
          } else if (order.do === "zero") {
            newest.set(order.page, ++version);
            holding.offerZero(order.page);
            assert.equal(sentLast.get(order.page), version, "zeros do not wait");
          } else if (order.do === "flushPage") {
            holding.flushPage(order.page);
            assert.equal(sentLast.get(order.page), newest.get(order.page));
          } else if (order.do === "pump") {
            const before = sent.size;
            assert.equal(holding.pump(order.count), sent.size - before);
            assert.ok(sent.size - before <= order.count);
          } else if (order.do === "limit") {
            limit = Math.min(slots, order.count);
            holding.limitTo(order.count * PAGE_BYTES);
            holding.pump(slots);
            assert.ok(holding.heldPages <= limit, "a lowered limit is kept");
          } else if (order.do === "pass") holding.pass();
          else holding.flush();
          assert.ok(holding.heldPages <= limit, "never more than there is room for");
          assert.equal(holding.heldBytes, holding.heldPages * PAGE_BYTES);
          assert.equal(
            sent.size + holding.superseded + holding.heldPages,
            version,
            "each version is somewhere",
          );
        }

        holding.flush();
        assert.equal(holding.heldPages, 0);
        assert.deepEqual(new Map([...sentLast].sort()), new Map([...newest].sort()));
        assert.equal(sent.size + holding.superseded, version);
        assert.ok(bytes.subarray(offered, region.start).every((byte) => byte === GUARD));
        const after = region.start + region.bytes;
        assert.ok(bytes.subarray(after, after + PAGE_BYTES).every((byte) => byte === GUARD));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps no version for longer than two sweeps, whatever the policy says", () => {
    fc.assert(
      fc.property(policy, fc.integer({ min: 1, max: SLOTS_MAX }), orders, (policyFor, slots, todo) => {
        const { freeStart: offered } = kernels;
        const region = { start: offered + PAGE_BYTES, bytes: slots * PAGE_BYTES };
        const holding = new Holding(kernels, region, policyFor(slots), PAGES, () => {});
        for (const order of todo) {
          if (order.do === "offer") holding.offer(order.page, offered, 0, 0);
          else if (order.do === "pass") holding.pass();
        }
        holding.pass();
        holding.pass();
        holding.pump(slots);
        assert.equal(holding.heldPages, 0);
      }),
    );
  });
});
