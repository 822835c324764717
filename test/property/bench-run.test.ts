/**
 * Goal: whatever cells, systems, repeats and seed, a run's plan has every combination exactly once and interleaved; and
 * the ledger's figures keep their laws for any client.
 * Method: fast-check over plans and over random operations.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { clientFigures, wireBytesAt } from "../../bench/ledger/mod.ts";
import { planRun } from "../../bench/run/plan.ts";

const names = (most: number) =>
  fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: most });
const cellPlans = fc.uniqueArray(fc.record({ cell: fc.string({ maxLength: 4 }), systems: names(6) }), {
  selector: ({ cell }) => cell,
  maxLength: 6,
});
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

test("a plan has every (cell, system, repeat) once, in rounds in which each system has one turn", () => {
  fc.assert(
    fc.property(cellPlans, fc.integer({ min: 1, max: 5 }), seeds, (cells, repeats, seed) => {
      const plan = planRun(cells, repeats, seed);
      assert.deepEqual(plan.map(({ cell }) => cell).sort(), cells.map(({ cell }) => cell).sort());
      for (const { cell, steps } of plan) {
        const systems = [...cells.find((one) => one.cell === cell)!.systems].sort();
        assert.equal(steps.length, systems.length * repeats);
        for (let repeat = 0; repeat < repeats; repeat++) {
          const round = steps.slice(repeat * systems.length, (repeat + 1) * systems.length);
          assert.deepEqual(round.map(({ system }) => system).sort(), systems);
          assert(round.every((step) => step.repeat === repeat));
        }
      }
      const orders = plan.flatMap(({ steps }) => steps.map(({ order }) => order));
      assert.deepEqual(orders, [...orders.keys()]);
      assert.deepEqual(planRun(cells, repeats, seed), plan, "the seed decides alone");
    }),
  );
});

test("seeds give different orders, and every system is first at times", () => {
  const systems = ["a", "b", "c", "d"];
  const firsts = new Set(
    Array.from({ length: 200 }, (_, seed) => planRun([{ cell: "x", systems }], 1, seed)[0]!.steps[0]!.system),
  );
  assert.deepEqual([...firsts].sort(), systems);
});

const operation = fc.tuple(
  fc.double({ min: -500, max: 3500, noNaN: true }),
  fc.double({ min: 0, max: 4000, noNaN: true }),
);

test("client figures: spans add up, percentiles rise, stalls and windows stay within what is watched", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 80 }),
      fc.integer({ min: 1, max: 2000 }),
      (pairs, slaLimitMs) => {
        const spans = {
          before: { fromMs: 0, untilMs: 1000 },
          during: { fromMs: 1000, untilMs: 1850 },
          after: { fromMs: 1850, untilMs: 3000 },
        };
        const operations = [
          {
            endedAtMs: Float64Array.from(pairs, ([at]) => at),
            latencyMs: Float64Array.from(pairs, ([, latency]) => latency),
            requestsLost: 0,
            connectionsLost: 0,
          },
        ];
        const figures = clientFigures({ unit: "x", operations, spans, slaLimitMs });
        const { before, during, after, longestStallMs, slaWindows } = figures;
        const inside = pairs.filter(([at]) => at >= 0 && at < 3000).length;
        assert.equal(before.operations + during.operations + after.operations, inside);
        for (const { latencyMs } of [before, during, after])
          if (latencyMs !== null)
            assert(
              latencyMs.p50 <= latencyMs.p95 &&
                latencyMs.p95 <= latencyMs.p99 &&
                latencyMs.p99 <= latencyMs.max,
            );
        const watched = during.operations + after.operations;
        assert(longestStallMs <= 2000 && longestStallMs >= 2000 / (watched + 1) - 1e-6);
        assert(slaWindows.missed <= slaWindows.of && slaWindows.of === 20);
        const quiet = longestStallMs <= slaLimitMs && pairs.every(([, latency]) => latency <= slaLimitMs);
        if (quiet) assert.equal(slaWindows.missed, 0);
        if (longestStallMs > slaLimitMs) assert(slaWindows.missed >= Math.floor(longestStallMs / 100));
      },
    ),
  );
});

test("wire bytes at any moment never fall and end at the last count", () => {
  const point = fc.record({ step: fc.integer({ min: 1, max: 300 }), rise: fc.integer({ min: 0, max: 1e6 }) });
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 20 }), (steps) => {
      let [atMs, bytes] = [0, 500];
      const points = steps.map(({ step, rise }) => {
        atMs += step;
        bytes += rise;
        return { atMs, bytes };
      });
      const zero = points[0]!.bytes;
      let last = 0;
      for (let at = 0; at <= atMs + 100; at += 37) {
        const now = wireBytesAt(points, zero, at);
        assert(now >= last);
        last = now;
      }
      assert.equal(wireBytesAt(points, zero, atMs + 1), bytes - zero);
    }),
  );
});
