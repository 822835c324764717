/**
 * Goal: what the controller decides reaches QEMU and the relay, once, in the right order, and only in pre-copy.
 * Method: steering alone, with answers of query-migrate and figures of a relay made by hand; and the poll of a source
 * QEMU whose monitor answers when the test lets it.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { type MigrationOrder, migrationOrderSchema } from "../../src/agent/api.ts";
import type { Vm } from "../../src/agent/context.ts";
import { ProgressMeter } from "../../src/agent/migrate/progress.ts";
import { pageCacheBytesOf } from "../../src/agent/migrate/settings.ts";
import { SourceQemu } from "../../src/agent/migrate/sourceQemu.ts";
import { endOfPrecopy, firstBandwidth, Steering } from "../../src/agent/migrate/steering.ts";
import { sourceStart } from "../../src/migration/mod.ts";
import type { MigrationInfo, MigrationRam, QmpEvent } from "../../src/qemu/mod.ts";
import { NO_FIGURES } from "../../src/relay/mod.ts";

const RAM_BYTES = 128 * 2 ** 20;
const orderOf = (more: object = {}): MigrationOrder =>
  migrationOrderSchema.parse({ vm: "web", to: "b:1", ...more });

function steer(order: MigrationOrder) {
  const world = { nowMs: 0, mayEnd: true, done: [] as string[], turn: (): void => undefined };
  const steering = new Steering({
    order,
    elapsedMs: () => world.nowMs,
    mayEnd: () => world.mayEnd,
    setDowntimeLimit: (ms) => world.done.push(`downtime-limit ${ms}`),
    turn: () => world.turn(),
    setBandwidth: (bytesPerSec) => world.done.push(`bandwidth ${bytesPerSec}`),
    log: () => undefined,
  });
  /** Memory crosses at 100 MB/s, then QEMU begins a pass with so much left. */
  const pass = (number: number, remaining: number): void => {
    for (let i = 0; i < 4; i++) {
      world.nowMs += 250;
      const bytes = world.nowMs * 100_000;
      steering.relay({ ...NO_FIGURES, streamBytes: bytes, wireBytes: { forward: bytes, backward: 0 } });
    }
    steering.passed(number);
    steering.qemu(info(number, remaining));
  };
  return { world, steering, pass };
}

function info(pass: number, remaining: number): MigrationInfo {
  const ram = { "dirty-sync-count": pass, remaining, total: RAM_BYTES } as MigrationRam;
  return { status: "active", ram };
}

test("after a refused post-copy the rules end pre-copy, whatever the strategy, and the report says so", () => {
  const { world, steering, pass } = steer(orderOf({ strategy: "postcopy" }));
  pass(1, RAM_BYTES);
  pass(2, 1e6);
  assert.deepEqual(world.done, [], "the strategy itself ends pre-copy");
  steering.refused();
  pass(3, 1e6);
  assert.deepEqual(world.done, ["downtime-limit 2000000"]);
  const facts = steering.facts();
  assert.equal(facts?.decisions[0]?.rule, "post-copy-refused");
  assert.notEqual(facts?.rule, "post-copy-refused");
  assert.notEqual(facts?.rule, null);
});

test("QEMU is told once to end, when a rule says so, and the report names it", () => {
  const { world, steering, pass } = steer(orderOf());
  assert.equal(steering.facts(), null);
  pass(1, RAM_BYTES);
  pass(2, 60e6);
  assert.deepEqual(world.done, []);
  assert.equal(steering.facts()?.rule, null);
  assert(steering.expectedDowntimeMs !== null && steering.expectedDowntimeMs > 600);
  pass(3, 1e6);
  assert.deepEqual(world.done, ["downtime-limit 2000000"]);
  pass(4, 0);
  steering.ended("nothing-left");
  assert.deepEqual(world.done, ["downtime-limit 2000000"]);
  assert.equal(steering.facts()?.rule, "small");
  assert.deepEqual(
    steering.facts()?.decisions.map(({ rule }) => rule),
    ["first-pass", "over-budget", "small"],
  );
});

/** A hybrid move of a guest that writes 90 MB/s over a link of 100 MB/s. */
function neverFits() {
  const one = steer(orderOf({ strategy: "hybrid" }));
  one.pass(1, RAM_BYTES);
  one.pass(2, 90e6);
  const begins = () => one.pass(3, 90e6);
  return { ...one, begins };
}

test("a rule turns to post-copy, and is what the report names", () => {
  const { world, steering, begins } = neverFits();
  world.turn = () => {
    world.done.push("post-copy");
    steering.ended("post-copy");
  };
  begins();
  begins();
  assert.deepEqual(world.done, ["post-copy"], "once");
  assert.equal(steering.facts()?.rule, "post-copy-no-progress");
  assert.deepEqual(
    steering.facts()?.decisions.map(({ rule }) => rule),
    ["first-pass", "sampling", "post-copy-no-progress"],
  );
});

test("a turn that is refused is asked for once, and pre-copy goes on", () => {
  const { world, steering, pass, begins } = neverFits();
  world.turn = () => {
    world.done.push("post-copy?");
    steering.refused();
  };
  begins();
  pass(4, 90e6);
  pass(5, 1e6);
  assert.deepEqual(world.done, ["post-copy?", "downtime-limit 2000000"]);
  const rules = steering.facts()?.decisions.map(({ rule }) => rule);
  assert.deepEqual(rules, [
    ...["first-pass", "sampling", "post-copy-no-progress", "post-copy-refused"],
    ...["not-converging", "small"],
  ]);
});

test("QEMU is asked often only while a stop may be near", () => {
  const { steering, pass } = steer(orderOf());
  const idleMs = steering.askEveryMs;
  pass(1, 1e5);
  const farMs = steering.askEveryMs;
  pass(2, 50e6);
  assert(steering.askEveryMs < farMs && farMs < idleMs);
  steering.ended("nothing-left");
  assert.equal(steering.askEveryMs, idleMs);
  assert.equal(steering.expectedDowntimeMs, null);
});

test("nothing is decided before, after and beside pre-copy", () => {
  const { world, steering, pass } = steer(orderOf());
  world.mayEnd = false;
  pass(2, 0);
  steering.qemu({ status: "setup" });
  steering.qemu({});
  assert.deepEqual([world.done, steering.facts()], [[], null]);
  for (const strategy of ["stop-and-copy", "postcopy"] as const) {
    const other = steer(orderOf({ strategy, bandwidthMinBytesPerSec: 10, bandwidthBytesPerSec: 1e9 }));
    other.pass(2, 0);
    other.steering.ended(strategy);
    assert.deepEqual([other.world.done, other.steering.facts()?.rule], [[], strategy]);
  }
});

test("a bandwidth from MIN to MAX: MIN, then what is written and more, MAX before QEMU is told to end", () => {
  const order = orderOf({ bandwidthMinBytesPerSec: 10_000_000, bandwidthBytesPerSec: 90_000_000 });
  assert.equal(firstBandwidth(order), 10_000_000);
  const { world, pass } = steer(order);
  pass(1, RAM_BYTES);
  pass(2, 60e6); // in a second
  pass(3, 60.1e6); // hardly more: not worth an order
  assert.deepEqual(world.done, ["bandwidth 66250000"]);
  pass(4, 1e6);
  assert.deepEqual(world.done, ["bandwidth 66250000", "bandwidth 90000000", "downtime-limit 2000000"]);
  const other = steer(order);
  other.pass(1, RAM_BYTES);
  other.steering.ended("nothing-left");
  assert.deepEqual(other.world.done, ["bandwidth 90000000"], "also when QEMU ends it by itself");
});

test("an order without sense is refused", () => {
  const wrong = [
    { bandwidthMinBytesPerSec: 2, bandwidthBytesPerSec: 1 },
    { bandwidthMinBytesPerSec: 2 },
    { downtimeLimitMs: 300, downtimeLimitMaxMs: 200 },
    { pageCacheBytes: 2 ** 40 },
    { engine: "magic" },
  ];
  for (const more of wrong) assert.throws(() => orderOf(more), JSON.stringify(more));
});

test("the page cache is the guest's RAM where nothing was said, within bounds and in whole pages", () => {
  assert.equal(pageCacheBytesOf(orderOf(), RAM_BYTES), RAM_BYTES);
  assert.equal(pageCacheBytesOf(orderOf(), 2 ** 33), 2 ** 29);
  assert.equal(pageCacheBytesOf(orderOf({ pageCacheBytes: 10_000 }), RAM_BYTES), 8192);
  assert.equal(pageCacheBytesOf(orderOf({ pageCacheBytes: 0 }), RAM_BYTES), 0);
});

test("what ends pre-copy has a name", () => {
  const before = { ...sourceStart({ strategy: "precopy", onTimeout: "stop" }), phase: "precopy" as const };
  const switched = { ...before, phase: "switchover" as const };
  const held = { ...before, plan: { strategy: "stop-and-copy", onTimeout: "abort" } as const };
  assert.equal(endOfPrecopy(before, { type: "guestStopped" }, switched), "nothing-left");
  assert.equal(
    endOfPrecopy(held, { type: "guestStopped" }, { ...held, phase: "switchover" }),
    "stop-and-copy",
  );
  assert.equal(endOfPrecopy(before, { type: "timeout" }, before), "time-limit");
  assert.equal(endOfPrecopy(before, { type: "timeout" }, { ...before, phase: "aborting" }), null);
  const refused = {
    ...before,
    plan: { ...before.plan, onTimeout: "postcopy" },
    postcopyRefused: true,
  } as const;
  assert.equal(endOfPrecopy(before, { type: "timeout" }, refused), null, "it goes on");
  assert.equal(endOfPrecopy(before, { type: "postcopy" }, { ...before, turning: true }), "post-copy");
  assert.equal(endOfPrecopy(before, { type: "pass", pass: 2 }, before), null);
  assert.equal(endOfPrecopy(switched, { type: "guestStopped" }, switched), null);
});

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

test("each pass is looked at at once, one question at a time, and none is left out", async () => {
  const answers: ((info: MigrationInfo) => void)[] = [];
  let tell: (event: QmpEvent) => void = () => undefined;
  const monitor = {
    execute: () => new Promise<MigrationInfo>((resolve) => answers.push(resolve)),
    closed: new Promise(() => undefined),
    onEvent: (listener: typeof tell) => {
      tell = listener;
      return () => undefined;
    },
  };
  const seen: number[] = [];
  const steering = {
    askEveryMs: 500,
    passed: () => undefined,
    qemu: ({ ram }: MigrationInfo) => seen.push(ram?.["dirty-sync-count"] ?? -1),
  };
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  const begin = (pass: number) =>
    tell({ event: "MIGRATION_PASS", data: { pass }, timestampMs: 0, readAtMs: 0 });
  const options = { tell: () => undefined, meter: new ProgressMeter(), steering };
  const qemu = new SourceQemu({ monitor } as unknown as Vm, options);
  mock.timers.tick(499);
  assert.equal(answers.length, 0);
  begin(2);
  mock.timers.tick(1);
  assert.equal(answers.length, 1, "at once");
  begin(3);
  begin(4);
  mock.timers.tick(1_000);
  assert.equal(answers.length, 1, "it has not answered");
  answers[0]!(info(3, 0));
  await settled();
  mock.timers.tick(20);
  assert.equal(answers.length, 2, "pass 4 began after the first question");
  answers[1]!(info(4, 0));
  await settled();
  assert.deepEqual(seen, [3, 4]);
  mock.timers.tick(499);
  assert.equal(answers.length, 2);
  mock.timers.tick(1);
  assert.equal(answers.length, 3);
  qemu.close();
  answers[2]!(info(5, 0));
  await settled();
  mock.timers.tick(10_000);
  assert.deepEqual([seen, answers.length], [[3, 4], 3], "nothing after the end");
});
