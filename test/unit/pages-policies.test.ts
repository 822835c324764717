/**
 * Goal: what each policy promises by name: what leaves at once, what waits for what, and who makes room.
 * Method: sweeps written out by hand over a few pages, with the list of pages sent after each step.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { buildKernels } from "../../kernels/build.ts";
import { loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { ENGINES, Holding, makePolicy, type Policy } from "../../src/pages/mod.ts";

const PAGES = 64;

let kernels: PageKernels;
before(async () => {
  await buildKernels();
  kernels = loadKernels({ memoryBytes: 4 * 2 ** 20 });
});

class Bench {
  readonly holding: Holding;
  #sent: number[] = [];

  constructor(policy: Policy | undefined, slots = 16) {
    const region = { start: kernels.freeStart + PAGE_BYTES, bytes: slots * PAGE_BYTES };
    this.holding = new Holding(kernels, region, policy!, PAGES, (page) => this.#sent.push(page));
  }

  /** One sweep; the first is the one that is under way from the start. @returns what was sent during it */
  sweep(...pages: readonly number[]): number[] {
    if (this.#begun) this.holding.pass();
    this.#begun = true;
    return this.read(...pages);
  }

  read(...pages: readonly number[]): number[] {
    for (const page of pages) this.holding.offer(page, kernels.freeStart, page, 0);
    return this.sent();
  }

  sent(): number[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  #begun = false;
}

const named = (name: "rapid" | "weight" | "reuse", slots = 16): Bench =>
  new Bench(makePolicy(name, { totalPages: PAGES, slots }), slots);

/** Holds everything, with these ranks by page. */
const ranked = (rankOf: (page: number) => number, slots: number): Bench =>
  new Bench({ leavesWhenIdle: false, pass() {}, room() {}, rank: rankOf }, slots);

describe("holding", () => {
  it("gives room to a higher rank: the oldest of the lowest leaves", () => {
    const bench = ranked((page) => page >> 4, 3);
    assert.deepEqual(bench.read(32, 17, 16, 33), [17]);
    assert.deepEqual(bench.read(34), [16]);
  });

  it("keeps what waits when the newcomer is worth no more", () => {
    const bench = ranked(() => 5, 2);
    assert.deepEqual(bench.read(1, 2, 3, 4), [3, 4]);
    assert.equal(bench.holding.heldPages, 2);
  });

  it("lets a version go when the next sweep has gone past its place, not before", () => {
    const bench = ranked(() => 1, 8);
    assert.deepEqual(bench.sweep(10, 20, 30), []);
    assert.deepEqual(bench.sweep(5), []);
    assert.deepEqual(bench.read(15), [10]);
    assert.deepEqual(bench.read(20, 40), [30]);
    assert.equal(bench.holding.superseded, 1);
    assert.deepEqual(bench.sweep(), []);
    assert.equal(bench.holding.pump(9), 0, "all that waits may come again in this sweep");
    assert.deepEqual(bench.sweep(0), [5, 15], "two with each offer");
    assert.equal(bench.holding.pump(9), 2);
    assert.deepEqual(bench.sent(), [20, 40]);
  });

  it("lets a version go after as many offers as there are pages, when sweeps cannot be told apart", () => {
    const bench = ranked((page) => (page === 3 ? 1 : 0), 8);
    bench.read(3);
    const others = Array.from({ length: PAGES - 1 }, () => 7);
    assert.ok(!bench.read(...others).includes(3));
    assert.deepEqual(bench.read(7), [7, 3]);
  });

  it("flushes in order of rank, the oldest first", () => {
    const bench = ranked((page) => page >> 4, 8);
    bench.read(32, 17, 33, 16);
    bench.holding.flush();
    assert.deepEqual(bench.sent(), [17, 16, 32, 33]);
  });

  it("sends one page early when it is told to, and only that", () => {
    const bench = ranked(() => 1, 8);
    bench.read(1, 2, 3);
    bench.holding.flushPage(2);
    bench.holding.flushPage(9);
    assert.deepEqual(bench.sent(), [2]);
    assert.equal(bench.holding.superseded, 0);
  });

  it("counts a version replaced by zeros as superseded", () => {
    const bench = ranked(() => 1, 8);
    bench.read(1);
    bench.holding.offerZero(1);
    assert.deepEqual(bench.sent(), [1]);
    assert.deepEqual([bench.holding.superseded, bench.holding.heldPages], [1, 0]);
  });

  it("holds nothing at a limit of 0", () => {
    const bench = ranked(() => 1, 8);
    bench.read(1, 2);
    bench.holding.limitTo(0);
    assert.deepEqual(bench.read(3), [3, 1, 2]);
  });

  it("expects less and less of what waits to cross, the more of it is replaced", () => {
    const bench = ranked(() => 1, 8);
    bench.sweep(1, 2, 3, 4);
    assert.equal(bench.holding.expectedBytes, bench.holding.heldBytes, "nothing is known yet");
    for (let pass = 0; pass < 200; pass++) bench.sweep(1, 2, 3, 4);
    assert.equal(bench.holding.heldPages, 4);
    assert.equal(bench.holding.expectedBytes, PAGE_BYTES);
    for (let pass = 0; pass < 200; pass++)
      bench.sweep(pass % 2, 8 + (pass % 2), 16 + (pass % 2), 24 + (pass % 2));
    assert.equal(bench.holding.expectedBytes, bench.holding.heldBytes);
  });

  it("refuses a region without room for a page, or outside the memory", () => {
    const { freeStart } = kernels;
    const policy = makePolicy("rapid", { totalPages: 1, slots: 1 })!;
    const on = (start: number, bytes: number) => () =>
      new Holding(kernels, { start, bytes }, policy, 1, () => {});
    assert.throws(on(freeStart, PAGE_BYTES - 1), RangeError);
    assert.throws(on(freeStart - PAGE_BYTES, PAGE_BYTES), RangeError);
    assert.throws(on(kernels.bytes.length - 1, PAGE_BYTES), RangeError);
    assert.doesNotThrow(on(freeStart, PAGE_BYTES));
  });
});

describe("policies", () => {
  it("all let the first pass go as it comes", () => {
    for (const name of ["rapid", "weight", "reuse"] as const) {
      assert.deepEqual(named(name).sweep(1, 2, 3), [1, 2, 3], name);
    }
  });

  it("stream is no policy", () => {
    assert.equal(makePolicy("stream", { totalPages: 1, slots: 1 }), undefined);
  });

  it("rapid: a page leaves once a sweep has gone by without it", () => {
    const bench = named("rapid");
    bench.sweep(1, 2, 3);
    assert.deepEqual(bench.sweep(1, 2, 3), []);
    assert.deepEqual(bench.sweep(1, 3), [2]);
    assert.deepEqual(bench.sweep(3), [1]);
    assert.equal(bench.holding.pump(9), 0, "an idle link changes nothing");
    assert.equal(bench.holding.superseded, 3);
  });

  it("weight: pages leave in stream order once, later the heaviest last, and at once when the link is idle", () => {
    const bench = named("weight");
    bench.sweep(1, 2, 3, 4);
    assert.deepEqual(bench.sweep(1, 2, 3), [1, 2, 3]);
    assert.deepEqual(bench.sweep(1, 2), []);
    assert.deepEqual(bench.sweep(1, 2, 3), []);
    assert.deepEqual(bench.sweep(1, 2, 3), []);
    bench.holding.flush();
    assert.deepEqual(bench.sent(), [3, 1, 2]);
    assert.deepEqual(bench.sweep(1, 4), [4], "dirty for the first time");
    bench.sweep(1);
    assert.equal(bench.holding.pump(9), 1);
  });

  it("weight: stops counting before it overflows", () => {
    const bench = named("weight");
    for (let pass = 0; pass < 300; pass++) bench.sweep(1);
    assert.deepEqual(bench.sent(), []);
    assert.equal(bench.holding.heldPages, 1);
  });

  it("reuse: pages that come again within what can be waited for wait, the others leave", () => {
    const bench = named("reuse", 8);
    bench.sweep(...Array(PAGES).keys());
    assert.deepEqual(bench.sweep(1, 40), [1, 40], "no distance is known");
    assert.deepEqual(bench.sweep(1, 40), [], "a distance of 2");
    const crowd = Array.from({ length: 30 }, (_, i) => i + 10);
    assert.deepEqual(bench.sweep(1, ...crowd), crowd);
    const sent = bench.sweep(1, ...crowd);
    assert.ok(sent.includes(10) && sent.includes(39), "31 pages are more than 8");
  });

  it("reuse: waits for less when there is less room", () => {
    const held = (slots: number): number => {
      const bench = named("reuse", 16);
      bench.holding.limitTo(slots * PAGE_BYTES);
      const pages = Array.from({ length: 12 }, (_, i) => i);
      for (let pass = 0; pass < 4; pass++) bench.sweep(...pages);
      return bench.holding.heldPages;
    };
    assert.deepEqual([held(16), held(4), held(3)], [12, 4, 0]);
  });

  it("reuse: the nearest leave last", () => {
    const bench = named("reuse", 32);
    bench.sweep(0);
    bench.sweep(1, 2, 3, 50);
    bench.sweep(1, 2, 3, 50, 51, 52, 53, 54, 55, 56, 57);
    bench.sweep(50, 51, 52, 53, 54, 55, 56, 57);
    bench.read(50);
    bench.sent();
    bench.holding.flush();
    const sent = bench.sent();
    assert.equal(sent.at(-1), 50);
  });
});

describe("engines of the literature", () => {
  it("each have the policy of their paper", () => {
    const policies = Object.values(ENGINES).map(({ name, policy }) => [name, policy]);
    assert.deepEqual(Object.fromEntries(policies), {
      auto: "stream",
      clark: "rapid",
      mecom: "stream",
      xbrle: "weight",
      reuse: "reuse",
    });
  });
});
