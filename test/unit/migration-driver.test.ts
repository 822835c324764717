/**
 * Goal: the small parts of the migration driver: order of effects, clocks, gaps in the heartbeat, progress.
 * Method: each alone, with hand-made inputs; whole migrations are judged in test/qemu/agent-migrate.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitAddress } from "../../src/agent/migrate/address.ts";
import { longestGapMs } from "../../src/agent/migrate/blackout.ts";
import { clockOffsetMs } from "../../src/agent/migrate/clockOffset.ts";
import { EffectRunner } from "../../src/agent/migrate/effects.ts";
import { ProgressMeter } from "../../src/agent/migrate/progress.ts";
import type { WireError } from "../../src/errors/mod.ts";
import type { MigrationRam } from "../../src/qemu/mod.ts";
import type { RelayFigures } from "../../src/relay/mod.ts";

const ERROR: WireError = { code: "TEST", fields: {}, message: "" };

function runner(options: { failAt?: string } = {}) {
  const world = { done: [] as string[], failed: [] as string[], failing: null as WireError | null };
  const effects = new EffectRunner<string>({
    run: async (effect) => {
      await Promise.resolve();
      if (effect === options.failAt) throw new Error("refused");
      world.done.push(effect);
    },
    failing: () => world.failing,
    failed: (effect) => world.failed.push(effect),
  });
  return { world, effects };
}

test("effects are done one after another, in the order in which they were given", async () => {
  const { world, effects } = runner();
  effects.add(["a", "b"]);
  effects.add(["c"]);
  await effects.idle();
  assert.deepEqual(world.done, ["a", "b", "c"]);
});

test("after a failed effect the rest of its list is dropped, later lists are not", async () => {
  const { world, effects } = runner({ failAt: "b" });
  effects.add(["a", "b", "c"]);
  effects.add(["d"]);
  await effects.idle();
  assert.deepEqual(world.done, ["a", "d"]);
  assert.deepEqual(world.failed, ["b"]);
});

test("what was planned before a failure is dropped, what was planned because of it is done", async () => {
  const { world, effects } = runner();
  effects.add(["configure", "migrate"]);
  world.failing = ERROR;
  effects.add(["resume"]);
  await effects.idle();
  assert.deepEqual(world.done, ["configure", "resume"]);
});

test("the clock offset is that of the quickest answer", async () => {
  let nowMs = 1000;
  const trips = [40, 4, 30, 50, 60];
  const offsetMs = await clockOffsetMs(
    async () => {
      const trip = trips.shift()!;
      // The way there is slow, the way back at once: the middle of a long trip is far off.
      nowMs += trip;
      return nowMs + 250;
    },
    () => nowMs,
  );
  assert.equal(offsetMs, 252);
});

test("the longest gap counts inside the window, up to its end, and over both hosts", () => {
  const window = { fromMs: 100, toMs: 200 };
  assert.equal(longestGapMs([10, 110, 120, 160, 170, 180, 190, 200, 900], window), 40);
  assert.equal(longestGapMs([190, 150, 110, 120], window), 40);
  assert.equal(longestGapMs([110, 120], window), 80);
  assert.equal(longestGapMs([99, 201], window), null);
});

test("progress knows nothing before it heard something, and takes rates over an interval", () => {
  const meter = new ProgressMeter();
  assert.ok(Object.values(meter.read()).every((value) => value === null));
  const figures = (elapsedMs: number, bytes: number) =>
    ({
      elapsedMs,
      streamBytes: bytes,
      wireBytes: { forward: 2 * bytes, backward: 0 },
      ramBytes: 64,
    }) as RelayFigures;
  meter.relay(figures(0, 0));
  meter.relay(figures(100, 1e9));
  assert.equal(meter.read().streamBytesPerSec, null);
  meter.relay(figures(1000, 5000));
  const ram = {
    remaining: 10_000,
    "dirty-pages-rate": 3,
    "page-size": 4096,
    "dirty-sync-count": 2,
  } as MigrationRam;
  meter.qemu({ ram, "expected-downtime": 30 });
  meter.passed(1);
  assert.deepEqual(meter.read(), {
    pass: 2,
    ramBytes: 64,
    remainingBytes: 10_000,
    streamBytesPerSec: 5000,
    wireBytesPerSec: 10_000,
    dirtyBytesPerSec: 12_288,
    expectedDowntimeMs: 30,
    timeLeftMs: 2000,
  });
});

test("an address splits at its last colon", () => {
  assert.deepEqual(splitAddress("[::1]:4444"), { host: "[::1]", port: "4444" });
});
