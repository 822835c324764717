/**
 * Goal: the decisions that depend on time are right at their edges.
 * Method: a clock of plain numbers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "../../src/link/bucket.ts";
import { Liveness } from "../../src/link/liveness.ts";
import { TIMING } from "../../src/link/mod.ts";
import { DeliveryMeter } from "../../src/link/window.ts";

test("a silent peer is dead after deadMs, but not while we do not read or were held up", () => {
  const at = (stopped: boolean, ticks: readonly number[]): string[] => {
    const liveness = new Liveness(TIMING, 0, 100);
    return ticks.map((nowMs) => liveness.tick(nowMs, 100, stopped));
  };
  const seconds = [1000, 2000, 3000, 4000, 5000];
  assert.equal(at(false, seconds).at(-1), "dead");
  assert.equal(at(false, seconds.slice(0, 4)).at(-1), "ping");
  assert.equal(at(true, seconds).at(-1), "ping");
  assert.deepEqual(at(false, [1000, 9000, 9250]), ["ping", "ping", "ping"]);
  assert.equal(at(false, [1000, 9000, 10000, 11000, 12000, 13000, 14000]).at(-1), "dead");
});

test("bytes that come keep a peer alive, and only the last ping measures the round trip", () => {
  const liveness = new Liveness(TIMING, 0, 0);
  for (let nowMs = 1000; nowMs <= 20_000; nowMs += 1000)
    assert.notEqual(liveness.tick(nowMs, nowMs, false), "dead");
  const old = liveness.ping(20_000);
  const token = liveness.ping(20_100);
  liveness.pong(old, 20_105);
  assert.equal(liveness.roundTripMs, undefined);
  liveness.pong(token, 20_108);
  liveness.pong(liveness.ping(21_000), 21_016);
  assert.deepEqual([liveness.roundTripMs, liveness.roundTripMsMin], [9, 8]);
});

test("the bucket goes into debt by one frame, saves 10 ms at most, and 0 means no cap", () => {
  const bucket = new TokenBucket(1000, 0);
  assert.equal(bucket.waitMs(0), 0);
  bucket.spend(500);
  assert.equal(bucket.waitMs(0), 500);
  assert.equal(bucket.waitMs(400), 100);
  assert.equal(bucket.waitMs(100_000), 0);
  bucket.spend(30);
  assert.equal(bucket.waitMs(100_000), 20);
  bucket.set(0, 100_000);
  bucket.spend(1e9);
  assert.equal(bucket.waitMs(100_000), 0);
});

test("a rate measured without pressure never lowers the estimate; idle time does not count", () => {
  const meter = new DeliveryMeter();
  meter.begin(0);
  meter.limited();
  assert(meter.acknowledged(100_000, 100, 1));
  assert.equal(meter.bytesPerSec, 1e6);
  assert(!meter.acknowledged(10, 200, 1));
  assert.equal(meter.bytesPerSec, 1e6);
  meter.begin(10_000);
  meter.limited();
  assert(meter.acknowledged(300_000, 10_100, 1));
  assert.equal(meter.bytesPerSec, 2e6);
  meter.limited();
  assert(meter.acknowledged(0, 10_200, 1));
  assert.equal(meter.bytesPerSec, 1e6);
});
