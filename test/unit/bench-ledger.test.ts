/**
 * Goal: the ledger says what happened: spans, percentiles, stalls, missed windows, sums over guests, energy, and null
 * where something is not known.
 * Method: the pure functions, on small inputs whose figures can be worked out by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  clientFigures,
  emptyLedger,
  energyOf,
  equalOf,
  ledgerOf,
  WATTS_PER_BUSY_CORE,
  wireBytesAt,
  withWireBytes,
} from "../../bench/ledger/mod.ts";
import type { MoveFacts, Operations } from "../../bench/types.ts";

function operations(pairs: readonly (readonly [number, number])[], lost: number | null = 0): Operations {
  return {
    endedAtMs: Float64Array.from(pairs, ([at]) => at),
    latencyMs: Float64Array.from(pairs, ([, latency]) => latency),
    requestsLost: lost,
    connectionsLost: lost,
  };
}

const SPANS = {
  before: { fromMs: 0, untilMs: 1000 },
  during: { fromMs: 1000, untilMs: 2000 },
  after: { fromMs: 2000, untilMs: 3000 },
};

function figures(all: readonly Operations[], slaLimitMs = 100) {
  return clientFigures({ unit: "GET", operations: all, spans: SPANS, slaLimitMs });
}

/** One that ends every 50 ms from `from`, `count` of them, each after 10 ms. */
const steady = (from: number, count: number): [number, number][] =>
  Array.from({ length: count }, (_, i) => [from + i * 50, 10]);

test("operations count in the span in which they ended", () => {
  const { before, during, after, throughputLoss } = figures([
    operations([
      [999.9, 5],
      [1000, 900],
      [1999, 1],
      [2000, 2],
      [3000, 3],
    ]),
  ]);
  assert.deepEqual([before.operations, during.operations, after.operations], [1, 2, 1]);
  assert.deepEqual([before.perSec, during.perSec, after.perSec], [1, 2, 1]);
  assert.equal(throughputLoss, -1);
  assert.equal(during.latencyMs?.max, 900);
});

test("percentiles are those of the sorted latencies, and null of no operations", () => {
  const pairs = Array.from({ length: 100 }, (_, i): [number, number] => [10 * i, 100 - i]);
  const { before, during } = figures([operations(pairs)]);
  assert.deepEqual(before.latencyMs, { p50: 50.5, p95: 95.05, p99: 99.01, max: 100 });
  assert.equal(during.latencyMs, null);
});

test("the longest stall may lie at the edges of what is watched, and not before the order", () => {
  assert.equal(figures([operations([])]).longestStallMs, 2000);
  assert.equal(figures([operations([[1500, 1]])]).longestStallMs, 1500);
  assert.equal(figures([operations([[100, 1], ...steady(1000, 40)])]).longestStallMs, 50);
});

test("nothing done before the order gives no throughput loss", () => {
  assert.equal(figures([operations(steady(1000, 40))]).throughputLoss, null);
});

test("a stall of 500 ms misses each of its windows, and a quiet client none", () => {
  assert.deepEqual(figures([operations(steady(1000, 40))]).slaWindows, { missed: 0, of: 20 });
  // from 1250 until 1750 nothing ends
  const stalled = steady(1000, 40).filter(([at]) => at <= 1250 || at >= 1750);
  assert.deepEqual(figures([operations(stalled)]).slaWindows, { missed: 6, of: 20 });
});

test("a slow request misses the windows in which it was under way, also beside quick ones", () => {
  const { slaWindows } = figures([operations([...steady(1000, 40), [1690, 380]])]);
  assert.deepEqual(slaWindows, { missed: 4, of: 20 });
});

test("clients of several guests are one: operations merged, losses summed", () => {
  const one = figures([operations([[1100, 1]], 2), operations([[1050, 1]], 3)]);
  assert.equal(one.during.operations, 2);
  assert.equal(one.requestsLost, 5);
  assert.equal(figures([operations([[1100, 1]], null)]).connectionsLost, null);
});

test("wire bytes are read off a line between two points, from the first point's zero", () => {
  const points = [
    { atMs: 0, bytes: 100 },
    { atMs: 100, bytes: 300 },
    { atMs: 200, bytes: 300 },
  ];
  assert.equal(wireBytesAt(points, 100, -5), 0);
  assert.equal(wireBytesAt(points, 100, 0), 0);
  assert.equal(wireBytesAt(points, 100, 50), 100);
  assert.equal(wireBytesAt(points, 100, 150), 200);
  assert.equal(wireBytesAt(points, 100, 999), 200);
  const point = {
    atMs: 20,
    wireBytes: 0,
    remainingBytes: 7,
    dirtyPagesPerSec: null,
    passes: 1,
    phase: "active",
  };
  assert.deepEqual(withWireBytes([point], points, 30), [{ ...point, wireBytes: 100 }]);
  assert.deepEqual(withWireBytes([point], [], 30), [point]);
});

test("energy is the counters' rise, wraps included, or else the model's", () => {
  const reading = (microjoules: number) => [{ microjoules, range: 10e6 }];
  assert.deepEqual(energyOf(reading(1e6), reading(4e6), 500), { model: "rapl", joules: 3 });
  assert.deepEqual(energyOf(reading(9e6), reading(1e6), 500), { model: "rapl", joules: 2 });
  const modelled = { model: "cpu-time", joules: 0.5 * WATTS_PER_BUSY_CORE };
  assert.deepEqual(energyOf(null, reading(1), 500), modelled);
  assert.deepEqual(energyOf([], [], 500), modelled);
});

const FACTS: MoveFacts = {
  orderedAtMs: 1000,
  migrateAtMs: 1200,
  endedAtMs: 3000,
  downtimeMs: 40,
  blackoutMs: 60,
  gapAfterResumeMs: 25,
  passes: 3,
  streamBytes: 1000,
  pages: { sent: 10, zero: 5 },
  cpuMs: { source: 100, target: 50 },
  guestCpuMs: 500,
  extraRssBytes: { source: 1, target: 2 },
  equal: true,
  requests: 4,
  timeline: [],
  error: null,
};
const BESIDE = {
  wireBytes: { forward: 1, backward: 2 },
  interfaceBytes: null,
  wirePoints: [],
  energy: { before: null, after: null },
  client: null,
};

test("of several guests the times are those of the whole move, the rest is summed", () => {
  const later = {
    ...FACTS,
    orderedAtMs: 1100,
    migrateAtMs: 1150,
    endedAtMs: 3500,
    downtimeMs: 30,
    passes: 7,
    gapAfterResumeMs: 90,
  };
  const ledger = ledgerOf({ ...BESIDE, facts: [FACTS, later] });
  assert.equal(ledger.totalTimeMs, 2500);
  assert.equal(ledger.migrateTimeMs, 2350);
  assert.equal(ledger.downtimeMs, 40);
  assert.equal(ledger.passes, 7);
  assert.equal(ledger.gapAfterResumeMs, 90);
  assert.equal(ledger.requests, 8);
  assert.equal(ledger.streamBytes, 2000);
  assert.deepEqual(ledger.pages, { sent: 20, zero: 10 });
  assert.deepEqual(ledger.cpuMs, { source: 200, target: 100 });
  assert.deepEqual(ledger.extraRssBytes, { source: 2, target: 4 });
  assert.equal(ledger.energyJoules.joules, 0.3 * WATTS_PER_BUSY_CORE);
});

test("a move that failed has no total time, and keeps what was spent on it", () => {
  const ledger = ledgerOf({ ...BESIDE, facts: [{ ...FACTS, error: "cancelled" }] });
  assert.equal(ledger.totalTimeMs, null);
  assert.equal(ledger.migrateTimeMs, null);
  assert.equal(ledger.cpuMs.source, 100);
});

test("what one guest does not know, the sum does not know", () => {
  const unknown = { ...FACTS, downtimeMs: null, streamBytes: null, pages: null, guestCpuMs: null };
  const ledger = ledgerOf({ ...BESIDE, facts: [FACTS, unknown] });
  const { downtimeMs, streamBytes, pages, guestCpuMs } = ledger;
  assert.deepEqual(
    { downtimeMs, streamBytes, pages, guestCpuMs },
    {
      downtimeMs: null,
      streamBytes: null,
      pages: null,
      guestCpuMs: null,
    },
  );
  assert.equal(emptyLedger().totalTimeMs, null);
});

test("equal is proven by all, refuted by one", () => {
  const facts = (...all: (boolean | null)[]) => all.map((equal) => ({ ...FACTS, equal }));
  assert.equal(equalOf(facts(true, true)), true);
  assert.equal(equalOf(facts(true, null)), null);
  assert.equal(equalOf(facts(null, false)), false);
});
