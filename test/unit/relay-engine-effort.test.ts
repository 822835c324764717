/**
 * Goal: the level follows what limits the rate: a slow line buys bytes, a fast one is never slowed, and neither noise nor a
 * busy machine makes it swing.
 * Method: a model of line, threads, encoder and QEMU that answers each window with what it would measure at the level in
 * force. No clock, no threads. What a level costs and saves in the model: bodies are half of their pages, packed a third.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ASIDE, Effort, type EffortWindow } from "../../src/relay/engine/effort.ts";

const WINDOW_MS = 30;
const COST: Record<number, number> = { 2: 1, 6: 3.5 };

interface World {
  lineBytesPerMs: number;
  /** Per thread, at level 2. */
  packBytesPerMs: number;
  /** Pages per ms that hashing and encoding make. */
  encodePagesPerMs: number;
  /** Pages per ms that QEMU gives. */
  streamPagesPerMs: number;
  threads: number;
}

const QUIET: World = {
  lineBytesPerMs: 12_500,
  packBytesPerMs: 200_000,
  encodePagesPerMs: 150,
  streamPagesPerMs: 300,
  threads: 2,
};

/** What would be measured at this level. */
function measure(world: World, level: number): EffortWindow {
  const bodyBytes = level === ASIDE ? 4104 : 2048;
  const sentBytes = level > 0 ? bodyBytes / 3 : bodyBytes;
  const line = world.lineBytesPerMs / sentBytes;
  const packer = level > 0 ? (world.packBytesPerMs * world.threads) / COST[level]! / bodyBytes : Infinity;
  const encoder = level === ASIDE ? Infinity : world.encodePagesPerMs;
  const rate = Math.min(line, packer, encoder, world.streamPagesPerMs);
  const pages = rate * WINDOW_MS;
  return {
    elapsedMs: WINDOW_MS,
    pages,
    sentBytes: pages * sentBytes,
    deliveredBytes: pages * sentBytes,
    bodyBytes: level === ASIDE ? 0 : pages * bodyBytes,
    linkFullMs: rate === line ? WINDOW_MS * 0.9 : 0,
    packWaitMs: rate === packer ? WINDOW_MS * 0.8 : 0,
    encodeMs: level === ASIDE ? 0 : (rate / encoder) * WINDOW_MS,
    packMs: level > 0 ? (pages * bodyBytes * COST[level]!) / world.packBytesPerMs : 0,
  };
}

/** Levels in force, window by window. */
function run(effort: Effort, world: World, ms: number): number[] {
  return Array.from({ length: Math.round(ms / WINDOW_MS) }, () => {
    const { level } = effort;
    effort.window(measure(world, level));
    return level;
  });
}

const share = (levels: readonly number[], level: number): number =>
  levels.filter((l) => l === level).length / levels.length;
/** Pages carried, against standing aside all the time. */
function againstPlain(levels: readonly number[], world: World): number {
  const carried = levels.reduce((sum, level) => sum + measure(world, level).pages, 0);
  return carried / (measure(world, ASIDE).pages * levels.length);
}

describe("effort", () => {
  test("starts with packing at level 2", () => assert.equal(new Effort(2).level, 2));

  test("on a slow line idle threads buy bytes, up to the highest level, and it never stands aside", () => {
    const levels = run(new Effort(2), QUIET, 20_000);
    assert.equal(levels.at(-1), 6);
    assert.equal(share(levels, ASIDE), 0);
    assert.equal(share(levels, 0), 0);
    assert.ok(share(levels, 6) > 0.95, `${share(levels, 6)} of the time`);
  });

  test("threads that are half busy at level 2 are not given more", () => {
    const levels = run(new Effort(2), { ...QUIET, packBytesPerMs: 30_000 }, 5000);
    assert.equal(share(levels, 2), 1);
    assert.equal(share(levels, 6), 0);
  });

  test("where packing is slower than the line it leaves off, and then stands aside for a line that is faster than all", () => {
    const world = { ...QUIET, lineBytesPerMs: 2_000_000 };
    const levels = run(new Effort(2), world, 20_000);
    const soon = levels.indexOf(ASIDE) * WINDOW_MS;
    assert.ok(soon > 0 && soon <= 200, `stands aside after ${soon} ms`);
    assert.ok(againstPlain(levels, world) > 0.95, `${againstPlain(levels, world)} of the plain rate`);
  });

  test("a line that nobody knows is tried as soon as the engine has limited it for two windows", () => {
    // 24 MB/s of packed entries: too few to tell a fast line by.
    const world = { ...QUIET, lineBytesPerMs: 2_000_000, encodePagesPerMs: 35 };
    const levels = run(new Effort(2), world, 10_000);
    assert.equal(levels.indexOf(ASIDE), 2);
    assert.ok(againstPlain(levels, world) > 0.95, `${againstPlain(levels, world)} of the plain rate`);
  });

  test("a line of 200 Mbit that was never full is tried once in a while, and loses little by it", () => {
    const world = { ...QUIET, lineBytesPerMs: 25_000, encodePagesPerMs: 35 };
    const levels = run(new Effort(2), world, 30_000);
    assert.ok(share(levels, ASIDE) < 0.02, `${share(levels, ASIDE)} of the time aside`);
  });

  test("a line of 1 Gbit is not slower than plain at any time it has settled", () => {
    for (const packBytesPerMs of [20_000, 60_000, 200_000]) {
      const world = { ...QUIET, lineBytesPerMs: 125_000, packBytesPerMs };
      const levels = run(new Effort(2), world, 20_000);
      assert.ok(againstPlain(levels, world) > 1.5, `${packBytesPerMs}: ${againstPlain(levels, world)}`);
      assert.ok(share(levels, ASIDE) < 0.05);
    }
  });

  test("packing that is slower than a slow line still goes on when entries as they are would be slower", () => {
    // One thread's worth: 9 MB/s of bodies against a line that carries 5 MB/s of them unpacked.
    const world = { ...QUIET, lineBytesPerMs: 5000, packBytesPerMs: 4500 };
    const levels = run(new Effort(2), world, 10_000);
    assert.ok(share(levels, 2) > 0.8, `${share(levels, 2)} of the time at level 2`);
  });

  test("packing on a machine that has no time for it is left off, tried again, and taken up when there is time", () => {
    const world = { ...QUIET, lineBytesPerMs: 12_500, packBytesPerMs: 3000 };
    const effort = new Effort(2);
    const busy = run(effort, world, 20_000);
    assert.ok(share(busy, 0) > 0.8, `${share(busy, 0)} of the time unpacked`);
    assert.ok(busy.slice(50).includes(2), "it is tried again");
    world.packBytesPerMs = 200_000;
    const quiet = run(effort, world, 40_000);
    assert.equal(quiet.at(-1), 6);
  });

  test("a line that becomes slow ends standing aside at once", () => {
    const effort = new Effort(2);
    const world = { ...QUIET, lineBytesPerMs: 2_000_000 };
    run(effort, world, 2000);
    assert.equal(effort.level, ASIDE);
    world.lineBytesPerMs = 12_500;
    run(effort, world, 60);
    assert.equal(effort.level, 2);
  });

  test("a QEMU that is slower than everything else changes nothing while the processors have time", () => {
    const levels = run(new Effort(2), { ...QUIET, lineBytesPerMs: 1e6, streamPagesPerMs: 20 }, 10_000);
    assert.equal(share(levels, 2), 1);
  });

  test("a draw is for fewer bytes, and is looked at less and less often", () => {
    const world = { ...QUIET, lineBytesPerMs: 1e6, encodePagesPerMs: 100, streamPagesPerMs: 100 };
    const levels = run(new Effort(2), world, 30_000);
    assert.ok(share(levels, ASIDE) < 0.05, `${share(levels, ASIDE)} of the time aside`);
  });

  test("a burst into the link's window is not taken for a fast line", () => {
    const effort = new Effort(2);
    const levels = Array.from({ length: 10 }, () => {
      const { level } = effort;
      const w = measure({ ...QUIET, lineBytesPerMs: 1e6 }, level);
      effort.window({ ...w, deliveredBytes: 5000 * w.elapsedMs, linkFullMs: w.elapsedMs * 0.4 });
      return level;
    });
    assert.equal(share(levels, ASIDE), 0);
  });

  test("a window in which the machine was busy with something else changes nothing on a slow line", () => {
    const effort = new Effort(2);
    const world = { ...QUIET, lineBytesPerMs: 25_000, packBytesPerMs: 30_000 };
    run(effort, world, 900);
    const before = effort.level;
    run(effort, { ...world, packBytesPerMs: 3000 }, WINDOW_MS);
    assert.equal(effort.level, before);
    assert.ok(before > 0);
  });

  test("what was held up and comes in bursts is not taken for a fast line", () => {
    const effort = new Effort(2);
    const world = { ...QUIET, lineBytesPerMs: 25_000, packBytesPerMs: 20_000 };
    const levels = Array.from({ length: 200 }, (_, i) => {
      const { level } = effort;
      const w = measure(world, level);
      // Nothing arrives in one window, twice as much in the next.
      effort.window({ ...w, deliveredBytes: i % 2 === 0 ? 0 : 2 * w.deliveredBytes });
      return level;
    });
    assert.equal(share(levels, ASIDE), 0);
  });

  test("a window without pages says nothing", () => {
    const effort = new Effort(2);
    for (let i = 0; i < 100; i++) effort.window({ ...measure(QUIET, 2), pages: 0 });
    assert.equal(effort.level, 2);
  });
});
