/**
 * Goal: a soak's seed says what happens in each move, and its verdict on memory sees growth and nothing else.
 * Method: plans made twice; series of samples with known trends.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Held } from "../../lab/soak/host.ts";
import { type MovePlan, movePlan } from "../../lab/soak/plan.ts";
import { trendsOf } from "../../lab/soak/result.ts";

const SEEDS = 200;
const plans = (postcopy: boolean): MovePlan[] =>
  Array.from({ length: SEEDS }, (_, seed) => movePlan(seed, 1 + (seed % 7), { postcopy }));

describe("a soak's plan", () => {
  it("is the same for the same seed and move, and another for another", () => {
    assert.deepEqual(plans(true), plans(true));
    const texts = new Set(plans(true).map((plan) => JSON.stringify({ ...plan, number: 0 })));
    assert.equal(texts.size, SEEDS);
  });
  it("has each strategy, fault and load somewhere", () => {
    const seen = (of: (plan: MovePlan) => string | undefined) => new Set(plans(true).map(of));
    assert.equal(seen(({ order }) => order.strategy).size, 4);
    assert.equal(seen(({ load }) => load.mode).size, 8);
    assert.deepEqual(
      seen(({ fault }) => fault?.kind),
      new Set([undefined, "cut", "cancel", "kill"]),
    );
    assert.equal(seen(({ restart }) => restart ?? undefined).size, 3);
  });
  it("never needs post-copy where there is none, and cuts are of 0.1 to 5 s", () => {
    for (const { order, fault } of plans(false)) {
      assert(["precopy", "stop-and-copy"].includes(order.strategy) && order.onTimeout === "stop");
      if (fault?.kind === "cut") assert(fault.forMs >= 100 && fault.forMs <= 5000);
    }
  });
});

describe("what agents hold", () => {
  const series = (growthPerSample: number): Held[] =>
    Array.from({ length: 20 }, (_, i) => ({
      rssBytes: 100e6 + (i % 2) * 3e6,
      heapBytes: 30e6 * (1 + growthPerSample * i),
      externalBytes: 8e6,
      descriptors: 37,
    }));
  it("is flat when it wavers, and not when it grows by more than a tenth from the first quarter to the last", () => {
    assert.deepEqual(
      Object.values(trendsOf(series(0))!).map(({ flat }) => flat),
      [true, true, true, true],
    );
    const { heapBytes, rssBytes } = trendsOf(series(0.01))!;
    // Samples 0..4 and 15..19: 15 steps between their middles.
    assert(Math.abs(heapBytes.growth - 0.15 / 1.02) < 1e-9);
    assert.deepEqual([heapBytes.flat, rssBytes.flat], [false, true]);
  });
  it("is not judged by fewer than eight samples", () => {
    assert.equal(trendsOf(series(1).slice(0, 7)), null);
  });
});
