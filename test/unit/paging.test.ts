/**
 * Goal: each order of pushes leaves pages as its name says, and fault times are what the clock was told.
 * Method: small guests whose whole order is written down here; sets at the edges of their words and of the largest guest;
 * times whose percentiles are known.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  FaultClock,
  makePushOrder,
  OPEN_REQUESTS_MAX,
  PageSet,
  type PushOrder,
} from "../../src/paging/mod.ts";

function setOf(totalPages: number, pages?: readonly number[]): PageSet {
  const set = new PageSet(totalPages);
  if (pages === undefined) set.addRange(0, totalPages);
  else for (const page of pages) set.add(page);
  return set;
}

/** The next `count` pages, taken out as the pager does it. */
function take(order: PushOrder, waiting: PageSet, count: number): number[] {
  const pages: number[] = [];
  while (pages.length < count) {
    const page = order.next();
    if (page < 0) break;
    assert.ok(waiting.delete(page), `${page} does not wait`);
    pages.push(page);
  }
  return pages;
}

/** The guest asks for a page, and it is answered at once. */
function ask(order: PushOrder, waiting: PageSet, page: number): void {
  order.fault(page);
  waiting.delete(page);
}

describe("PageSet", () => {
  it("finds pages across empty words, in both directions", () => {
    const set = setOf(100_000, [0, 31, 32, 40_000, 99_999]);
    assert.equal(set.nextAt(0), 0);
    assert.equal(set.nextAt(1), 31);
    assert.equal(set.nextAt(33), 40_000);
    assert.equal(set.nextAt(40_001), 99_999);
    assert.equal(set.nextAt(100_000), -1);
    assert.equal(set.previousAt(-1), -1);
    assert.equal(set.previousAt(99_998), 40_000);
    assert.equal(set.previousAt(39_999), 32);
    assert.equal(set.previousAt(30), 0);
  });

  it("says what was in already, and counts", () => {
    const set = setOf(64);
    assert.equal(set.add(63), false);
    assert.equal(set.delete(63), true);
    assert.equal(set.delete(63), false);
    assert.equal(set.addRange(60, 4), 1);
    assert.equal(set.count, 64);
    set.clear();
    assert.equal(set.count, 0);
    assert.equal(set.nextAt(0), -1);
    assert.equal(set.add(63), true);
  });

  it("takes no number that is no page", () => {
    const set = setOf(33);
    assert.throws(() => set.add(33), RangeError);
    assert.throws(() => set.delete(-1), RangeError);
    assert.throws(() => set.addRange(32, 2), RangeError);
    assert.throws(() => new PageSet(2 ** 31), RangeError);
    assert.equal(set.has(33), false);
    assert.equal(new PageSet(0).nextAt(0), -1);
  });

  it("holds the largest guest", () => {
    const last = 2 ** 31 - 2;
    const set = new PageSet(last + 1);
    set.add(last);
    set.add(5);
    assert.equal(set.nextAt(6), last);
    assert.equal(set.previousAt(last - 1), 5);
    assert.equal(set.addRange(last - 40, 41), 40);
    assert.equal(set.nextAt(6), last - 40);
  });
});

describe("orders of pushes", () => {
  it("linear ascends whatever is asked for", () => {
    const waiting = setOf(6);
    const order = makePushOrder("linear", waiting);
    ask(order, waiting, 4);
    assert.deepEqual(take(order, waiting, 9), [0, 1, 2, 3, 5]);
  });

  it("forward ascends from the last fault, round the end", () => {
    const waiting = setOf(8);
    const order = makePushOrder("forward", waiting);
    assert.deepEqual(take(order, waiting, 2), [0, 1]);
    ask(order, waiting, 5);
    assert.deepEqual(take(order, waiting, 9), [6, 7, 2, 3, 4]);
  });

  it("bubble grows to both sides of the last fault, and skips what does not wait", () => {
    const waiting = setOf(12);
    waiting.delete(7);
    const order = makePushOrder("bubble", waiting);
    assert.deepEqual(take(order, waiting, 1), [0]);
    ask(order, waiting, 6);
    assert.deepEqual(take(order, waiting, 4), [8, 5, 9, 4]);
    ask(order, waiting, 2);
    assert.deepEqual(take(order, waiting, 9), [3, 1, 10, 11]);
  });

  it("bubbles take turns around several faults, the last one first", () => {
    const waiting = setOf(1000);
    const order = makePushOrder("bubbles", waiting);
    ask(order, waiting, 100);
    ask(order, waiting, 500);
    assert.deepEqual(take(order, waiting, 8), [501, 101, 499, 99, 502, 102, 498, 98]);
  });

  it("bubbles forget the pivot whose last fault is the longest ago", () => {
    const waiting = setOf(10_000);
    const order = makePushOrder("bubbles", waiting);
    const faults = [0, 1, 2, 3, 4, 5, 6].map((i) => 500 + 1000 * i);
    for (const page of faults) ask(order, waiting, page);
    ask(order, waiting, 502);
    ask(order, waiting, 9500);
    const pushed = take(order, waiting, 14);
    const near = (page: number) => pushed.filter((other) => Math.abs(other - page) < 100).length;
    assert.deepEqual([...faults, 9500].map(near), [2, 0, 2, 2, 2, 2, 2, 2]);
  });

  it("a bubble that has met its neighbours leaves its turns to others", () => {
    const waiting = setOf(1000);
    const order = makePushOrder("bubbles", waiting);
    for (const page of [100, 200, 300]) ask(order, waiting, page);
    for (let page = 101; page < 300; page++) waiting.delete(page);
    assert.deepEqual(take(order, waiting, 4), [301, 99, 302, 98]);
  });

  it("demand pushes only while it is released", () => {
    const waiting = setOf(6);
    const order = makePushOrder("demand", waiting, { firstPages: [3] });
    assert.equal(order.next(), -1);
    order.release();
    assert.deepEqual(take(order, waiting, 2), [3, 0]);
    ask(order, waiting, 2);
    assert.equal(order.next(), -1);
    order.release();
    assert.deepEqual(take(order, waiting, 9), [1, 4, 5]);
  });

  it("auto goes ahead of a guest that reads on and on, upwards or downwards", () => {
    for (const step of [1, -1]) {
      const waiting = setOf(10_000);
      const order = makePushOrder("auto", waiting);
      for (let i = 0; i < 4; i++) ask(order, waiting, 5000 + step * i);
      const ahead = take(order, waiting, 80).filter((page) => (page - 5000) * step > 3).length;
      assert.equal(ahead, 70, `${step}`);
    }
  });

  it("auto goes on upwards from the last fault when nothing waits near it", () => {
    const waiting = setOf(10_000, [10, 4000, 4800, 5050, 6000, 9000]);
    const order = makePushOrder("auto", waiting);
    order.fault(5000);
    assert.deepEqual(take(order, waiting, 9), [5050, 6000, 9000, 10, 4000, 4800]);
  });

  it("first pages leave first, in their order, also those that come to wait later", () => {
    const waiting = setOf(100, [1, 2, 3, 50]);
    const order = makePushOrder("linear", waiting, { firstPages: [70, 50, 999, 2] });
    assert.deepEqual(take(order, waiting, 3), [50, 2, 1]);
    waiting.add(70);
    assert.deepEqual(take(order, waiting, 9), [70, 3]);
  });

  it("first pages that never wait do not stand in the way", () => {
    const waiting = setOf(10_000, [9_999, 5_000]);
    const order = makePushOrder("linear", waiting, {
      firstPages: Int32Array.from({ length: 4000 }, (_, i) => i),
    });
    assert.deepEqual(take(order, waiting, 9), [5_000, 9_999]);
  });
});

describe("FaultClock", () => {
  it("has no times before a page that was asked for is given", () => {
    const clock = new FaultClock();
    assert.equal(clock.times(), null);
    clock.given(1, 5);
    clock.asked(2, 5);
    assert.equal(clock.times(), null);
  });

  it("counts from the first request to the first time that the page is given", () => {
    const clock = new FaultClock();
    clock.asked(7, 100);
    clock.asked(7, 130);
    clock.given(7, 140);
    clock.given(7, 900);
    const times = clock.times()!;
    assert.equal(times.count, 1);
    assert.equal(times.maxMs, 40);
    assert.equal(times.p50Ms, 40);
    assert.deepEqual(
      times.buckets.filter((bucket) => bucket.count > 0),
      [{ toMs: 50, count: 1 }],
    );
    clock.asked(7, 1000);
    clock.given(7, 1001);
    assert.equal(clock.times()!.count, 2);
  });

  it("says percentiles within 1.2 % and the longest time exactly", () => {
    const clock = new FaultClock();
    for (let page = 1; page <= 1000; page++) {
      clock.asked(page, 0);
      clock.given(page, page / 4);
    }
    const { p50Ms, p95Ms, p99Ms, maxMs } = clock.times()!;
    for (const [seen, exact] of [
      [p50Ms, 125],
      [p95Ms, 237.5],
      [p99Ms, 247.5],
    ] as const) {
      assert.ok(Math.abs(seen / exact - 1) < 0.012, `${seen} for ${exact}`);
    }
    assert.equal(maxMs, 250);
  });

  it("puts a time on an edge below it, and has a bucket without an edge", () => {
    const clock = new FaultClock();
    for (const [page, ms] of [0, 0.1, 10_000, 10_001, 5_000_000].entries()) {
      clock.asked(page, 0);
      clock.given(page, ms);
    }
    const { buckets, p99Ms } = clock.times()!;
    assert.deepEqual(buckets[0], { toMs: 0.1, count: 2 });
    assert.deepEqual(buckets.at(-2), { toMs: 10_000, count: 1 });
    assert.deepEqual(buckets.at(-1), { toMs: null, count: 2 });
    assert.equal(p99Ms, 5_000_000);
  });

  it("forgets the oldest request when too many are open", () => {
    const clock = new FaultClock();
    for (let page = 0; page <= OPEN_REQUESTS_MAX; page++) clock.asked(page, page);
    clock.given(0, 1e6);
    assert.equal(clock.times(), null);
    clock.given(1, 3);
    assert.equal(clock.times()!.maxMs, 2);
  });
});
