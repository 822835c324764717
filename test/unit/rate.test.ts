/**
 * Goal: the dynamic rate limit follows the guest's writing within its bounds, as Clark et al. describe it.
 * Method: the rule on values, and its bounds on any.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rateOfPass, STEP_BYTES_PER_SEC } from "../../src/migration/rate.ts";

const RANGE = { minBytesPerSec: 1_000_000, maxBytesPerSec: 100_000_000, stepBytesPerSec: STEP_BYTES_PER_SEC };
const RAW = { encodedRatio: 1 };

test("the first pass and an unknown rate of writing get the least", () => {
  assert.deepEqual(rateOfPass(RANGE, { ...RAW, pass: 1, dirtyBytesPerSec: 5e7 }), {
    bytesPerSec: 1_000_000,
    exceeded: false,
  });
  assert.equal(rateOfPass(RANGE, { ...RAW, pass: 4, dirtyBytesPerSec: null }).bytesPerSec, 1_000_000);
});

test("a later pass gets what was written plus 50 Mbit/s, as it crosses", () => {
  assert.equal(rateOfPass(RANGE, { ...RAW, pass: 2, dirtyBytesPerSec: 1e7 }).bytesPerSec, 16_250_000);
  assert.equal(
    rateOfPass(RANGE, { pass: 2, dirtyBytesPerSec: 1e7, encodedRatio: 0.1 }).bytesPerSec,
    7_250_000,
  );
});

test("more than the most is said", () => {
  assert.deepEqual(rateOfPass(RANGE, { ...RAW, pass: 2, dirtyBytesPerSec: 94e6 }), {
    bytesPerSec: 100_000_000,
    exceeded: true,
  });
  assert.equal(rateOfPass(RANGE, { ...RAW, pass: 2, dirtyBytesPerSec: 93.75e6 }).exceeded, false);
});

test("it never leaves its bounds, and never falls when the guest writes more", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(2e9), fc.nat(2e9), fc.integer({ min: 1, max: 30 }), (most, a, b, pass) => {
      const range = { ...RANGE, maxBytesPerSec: RANGE.minBytesPerSec + most };
      const [less, more] = [Math.min(a, b), Math.max(a, b)].map((dirtyBytesPerSec) =>
        rateOfPass(range, { ...RAW, pass, dirtyBytesPerSec }),
      );
      assert(less!.bytesPerSec >= range.minBytesPerSec && more!.bytesPerSec <= range.maxBytesPerSec);
      assert(less!.bytesPerSec <= more!.bytesPerSec);
    }),
  );
});
