/**
 * Goal: two results of the same code are (nearly) never told apart, one that is slower by a quarter is.
 * Method: generated results with lognormal noise, another speed of the machine in each, 3 to 6 repeats of 3 cells. The
 * share of false alarms is counted over many pairs with fixed seeds; the statistics' own properties by fast-check.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holm } from "../../src/bench/holm.ts";
import { type BenchResult, type CompareOptions, compareResults } from "../../src/bench/mod.ts";
import { permutationTest } from "../../src/bench/permutation.ts";
import { imagined } from "../tools/benchResult.ts";

const PAIRS = 40;
const FEW = { metrics: ["totalTimeMs", "blackoutMs", "wireBytes"] } as const;

function toldApart(a: BenchResult, b: BenchResult, options: CompareOptions = {}): string[] {
  return compareResults(a, b, options)
    .rows.filter(
      ({ family, verdict }) => family === "godwit" && (verdict === "better" || verdict === "worse"),
    )
    .map(({ system, metric, words }) => `${system} ${metric} ${words}`);
}

/** How many of many pairs give an alarm for Godwit. */
function alarms(noise: number): number {
  return Array.from({ length: PAIRS }, (_, i) => {
    const repeats = i % 4 === 3 ? 3 + (i % 3) : 3; // most with 3: they are quicker to judge
    const a = imagined({ seed: 2 * i + 1, repeats, noise, drift: 1 });
    const b = imagined({ seed: 2 * i + 2, repeats, noise, drift: 1 + (i % 5) / 4 });
    return toldApart(a, b, FEW).length;
  }).filter((count) => count > 0).length;
}

for (const noise of [0.03, 0.15])
  test(`results of the same code are not told apart, noise of ${noise * 100} %, machines of other speeds`, () => {
    // The promise is 1 of 100. Three of 40 would come by chance in 1 of 100 such tests; the seeds are fixed.
    const count = alarms(noise);
    assert.ok(count <= 2, `${count} alarms in ${PAIRS} pairs`);
  });

test("a system slowed by a quarter is told apart, and no other one", () => {
  for (const repeats of [3, 6]) {
    const a = imagined({ seed: repeats, repeats, noise: 0.03 });
    const b = imagined({
      seed: 100 + repeats,
      repeats,
      noise: 0.03,
      drift: 0.7, // the machine is faster that day: absolute figures would call it an improvement
      cost: (_, { name }) => (name === "godwit-hybrid" ? 1.25 : 1),
    });
    const found = toldApart(a, b);
    assert.ok(found.includes("godwit-hybrid totalTimeMs slower"), `${repeats} repeats: ${found}`);
    assert.ok(
      found.every((text) => text.startsWith("godwit-hybrid")),
      `${found}`,
    );
    assert.ok(toldApart(b, a, FEW).includes("godwit-hybrid totalTimeMs faster"));
  }
});

test("moves that begin to fail are said to fail more often", () => {
  const a = imagined({ seed: 1 });
  const cost = (_: unknown, { name }: { name: string }) => (name === "godwit-hybrid" ? Number.NaN : 1);
  const b = imagined({ seed: 2, cost });
  assert.deepEqual(toldApart(a, b), ["godwit-hybrid failed fails more often"]);
  assert.deepEqual(toldApart(b, a), ["godwit-hybrid failed fails less often"]);
});

test("too few samples are called that, whatever they say", () => {
  const b = imagined({ seed: 2, repeats: 1, cost: (_, { family }) => (family === "godwit" ? 3 : 1) });
  const { rows } = compareResults(imagined({ seed: 1, repeats: 1 }), b);
  assert.deepEqual(new Set(rows.map(({ verdict }) => verdict)), new Set(["not enough samples"]));
});

test("nothing below the practical threshold is told apart, however certain", () => {
  const quiet = (seed: number, by: number) =>
    imagined({ seed, noise: 0.001, cost: (_, { family }) => (family === "godwit" ? by : 1) });
  assert.deepEqual(toldApart(quiet(1, 1), quiet(2, 1.04)), []);
  assert.notDeepEqual(toldApart(quiet(1, 1), quiet(2, 1.07)), []);
});

const sides = fc.record({
  a: fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 4 }),
  b: fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 4 }),
});

test("the permutation test gives a p between its least and 1, the same for both directions", () => {
  fc.assert(
    fc.property(fc.array(sides, { minLength: 1, maxLength: 3 }), (strata) => {
      const one = permutationTest(strata, 1);
      const other = permutationTest(
        strata.map(({ a, b }) => ({ a: b, b: a })),
        1,
      );
      assert.ok(one.p >= one.pLeast && one.p <= 1, `${one.p} and ${one.pLeast}`);
      assert.ok(Math.abs(one.difference + other.difference) < 1e-9);
      // Where all arrangements are tried the answer is exact; drawn ones differ by what was drawn.
      assert.ok(Math.abs(one.p - other.p) < 0.03);
    }),
    { numRuns: 60 },
  );
});

test("known answers of the permutation test", () => {
  // 20 ways to deal 3 and 3; only the one measured and its mirror image are as far apart.
  assert.equal(permutationTest([{ a: [1, 2, 3], b: [11, 12, 13] }], 1).p, 2 / 20);
  assert.equal(permutationTest([{ a: [5, 5, 5], b: [5, 5, 5] }], 1).p, 1);
  // 252 x 252 ways: they are drawn.
  const far = { a: [1, 2, 3, 4, 5], b: [11, 12, 13, 14, 15] };
  assert.ok(permutationTest([far, far], 1).p < 0.001);
});

test("Holm's correction: known answer; hopeless tests stay out of the family", () => {
  const able = (p: number) => ({ p, pLeast: 1e-6 });
  const close = (found: readonly (number | null)[], wanted: readonly (number | null)[]) => {
    assert.equal(found.length, wanted.length);
    for (const [i, value] of found.entries())
      if (value === null || wanted[i] === null) assert.equal(value, wanted[i]);
      else assert.ok(Math.abs(value - wanted[i]!) < 1e-12, `${found}`);
  };
  close(holm([able(0.01), able(0.04), able(0.03), able(0.005)], 0.05), [0.03, 0.06, 0.06, 0.02]);
  const hopeless = { p: 0.1, pLeast: 0.1 };
  close(holm([hopeless, able(0.01), hopeless], 0.05), [null, 0.01, null]);
});
