/**
 * Goal: the pager sends each missing page once and whole, answers before pushes, keeps to its pool and its pace, and says
 * that it is done only when nothing is missing.
 * Method: pool and pace by hand; the pager against a link in this process that acknowledges when the test says so, with what
 * it sends decoded by the target's decoder. No QEMU.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { PAGE_BYTES } from "../../kernels/mod.ts";
import type { LinkStats } from "../../src/link/mod.ts";
import {
  ENGINES,
  HashedIndex,
  PageDecoder,
  PageEncoder,
  PageNumbers,
  SlottedStore,
} from "../../src/pages/mod.ts";
import type { PushOrderName } from "../../src/paging/mod.ts";
import { BatchRoom } from "../../src/relay/engine/batches.ts";
import { sourceMemory } from "../../src/relay/engine/layout.ts";
import { Outgoing } from "../../src/relay/engine/outgoing.ts";
import { Packer } from "../../src/relay/engine/packer.ts";
import { Run } from "../../src/relay/engine/run.ts";
import { PushPace } from "../../src/relay/pager/pace.ts";
import { PackTrial } from "../../src/relay/pager/packTrial.ts";
import { Pager } from "../../src/relay/pager/pager.ts";
import { PagePool } from "../../src/relay/pager/pool.ts";
import { ZeroRate } from "../../src/relay/pager/zeroRate.ts";
import type { RamBlock } from "../../src/stream/mod.ts";
import {
  decodePagesPrefix,
  PAGES_OUTPUT_BYTES_MAX,
  PAGES_PREFIX_BYTES,
  PagesForm,
} from "../../src/wire/mod.ts";

const PAGES = 512;
const BLOCK: RamBlock = { index: 0, name: "pc.ram", bytes: PAGES * PAGE_BYTES };

describe("the pool", () => {
  const pool = (slots: number) => {
    const bytes = new Uint8Array((slots + 2) * PAGE_BYTES);
    return { bytes, pool: new PagePool({ bytes }, { start: PAGE_BYTES, bytes: slots * PAGE_BYTES }, 100) };
  };

  test("a page that was sent can be read until its slot is needed, the first first", () => {
    const { pool: p, bytes } = pool(2);
    bytes.fill(7, 0, PAGE_BYTES);
    p.put(5, 0);
    p.put(6, 0);
    assert.equal(p.room, 0);
    assert.throws(() => p.put(7, 0), /full/);
    p.spend(6);
    p.spend(5);
    assert.equal(p.room, 2);
    assert.equal(bytes[p.at(6)], 7);
    p.put(7, 0);
    assert.equal(p.at(6), 0, "its slot was needed");
    assert.notEqual(p.at(5), 0);
    assert.equal(p.bytesMax, 2 * PAGE_BYTES);
  });

  test("a page is put once", () => {
    const { pool: p } = pool(2);
    p.put(5, 0);
    assert.throws(() => p.put(5, 0), /already/);
  });
});

describe("the pace", () => {
  /** A line of this rate: what is sent is acknowledged in its time. @returns the queue that its last frame stood in, ms */
  function run(pace: PushPace, bytesPerSec: number, ms: number, asked: boolean): number {
    let freeAtMs = 0;
    let queueMs = 0;
    const onTheWay: { atMs: number; bytes: number }[] = [];
    for (let now = 0; now < ms; now += 0.5) {
      if (asked) pace.asked(now);
      while (onTheWay[0] !== undefined && onTheWay[0].atMs <= now)
        pace.acknowledged(onTheWay.shift()!.bytes, now);
      while (pace.inFlightBytes < pace.windowBytes(now, 1)) {
        pace.sent(8192, now);
        freeAtMs = Math.max(freeAtMs, now) + (8192 / bytesPerSec) * 1000;
        queueMs = freeAtMs - now;
        onTheWay.push({ atMs: freeAtMs + 1, bytes: 8192 });
      }
      pace.limited(now);
    }
    return queueMs;
  }

  function begun(bytesPerSec?: number): PushPace {
    const pace = new PushPace(bytesPerSec);
    pace.begin();
    return pace;
  }

  test("what the target's QEMU keeps waiting while it loads the package tells nothing of the line", () => {
    const pace = new PushPace(12.5e6);
    let early = 0;
    for (; pace.inFlightBytes < pace.windowBytes(0, 1); early += 8192) pace.sent(8192, 0);
    assert.ok(early <= 64 * 1024, `${early} bytes stand behind the package`);
    pace.acknowledged(early, 60);
    pace.begin();
    assert.equal(pace.lengthMs, undefined);
    assert.ok(run(pace, 12.5e6, 1000, true) < 8);
  });

  for (const bytesPerSec of [12.5e6, 125e6]) {
    test(`finds a line of ${bytesPerSec / 1e6} MB/s and keeps its queue short`, () => {
      const pace = begun();
      const queueMs = run(pace, bytesPerSec, 2000, true);
      const share = pace.bytesPerSec! / bytesPerSec;
      assert.ok(share > 0.8 && share < 1.3, `${share} of the line`);
      assert.ok(queueMs < 8, `${queueMs} ms stand before an answer`);
    });
  }

  test("bytes that are taken in bunches do not look like a fast line", () => {
    const pace = begun();
    const bytesPerSec = 12.5e6;
    const onTheWay: { atMs: number; bytes: number }[] = [];
    let freeAtMs = 0;
    for (let now = 0; now < 3000; now += 0.5) {
      pace.asked(now);
      // Every 10 ms all that has arrived is acknowledged at once.
      if (now % 10 === 0)
        while (onTheWay[0] !== undefined && onTheWay[0].atMs <= now)
          pace.acknowledged(onTheWay.shift()!.bytes, now);
      while (pace.inFlightBytes < pace.windowBytes(now, 40)) {
        pace.sent(8192, now);
        freeAtMs = Math.max(freeAtMs, now) + (8192 / bytesPerSec) * 1000;
        onTheWay.push({ atMs: freeAtMs + 1, bytes: 8192 });
      }
      pace.limited(now);
    }
    const share = pace.bytesPerSec! / bytesPerSec;
    assert.ok(share < 1.6, `${share} of the line`);
    assert.ok(pace.lengthMs! <= 12, `${pace.lengthMs} ms long, whatever was measured under load`);
  });

  test("more may stand in the queue while the guest asks for nothing", () => {
    const quiet = run(begun(12.5e6), 12.5e6, 1000, false);
    const asked = run(begun(12.5e6), 12.5e6, 1000, true);
    assert.ok(quiet > 2 * asked, `${quiet} and ${asked} ms`);
  });
});

describe("whether pushes are packed", () => {
  /** Delivers at these rates for so long. @returns the share of the time in which they were packed */
  function share(rates: { readonly raw: number; readonly packed: number }, ms: number): number {
    const trial = new PackTrial(0);
    let packedMs = 0;
    for (let now = 1; now <= ms; now++) {
      if (trial.packs) packedMs++;
      trial.delivered(trial.packs ? rates.packed : rates.raw, now);
    }
    return packedMs / ms;
  }

  test("the way that delivers more pages is kept, whatever it was at first", () => {
    assert.ok(share({ raw: 3, packed: 6 }, 10_000) > 0.9, "a slow line");
    assert.ok(share({ raw: 20, packed: 7 }, 10_000) < 0.1, "busy processors");
    assert.ok(share({ raw: 10, packed: 10.5 }, 10_000) < 0.1, "no difference that counts");
  });

  test("it is tried again: what is right may change", () => {
    const trial = new PackTrial(0);
    for (let now = 1; now < 3000; now++) trial.delivered(trial.packs ? 7 : 20, now);
    assert.equal(trial.packs, false);
    for (let now = 3000; now < 12_000; now++) trial.delivered(trial.packs ? 40 : 20, now);
    assert.equal(trial.packs, true);
  });
});

test("zeros leave at a rate, less of them while the guest asks", () => {
  const count = (asked: boolean): number => {
    const rate = new ZeroRate(0);
    let sent = 0;
    for (let now = 0; now <= 1000; now += 2) {
      const pages = rate.allowed(now, asked);
      rate.spend(pages);
      sent += pages;
    }
    return sent;
  };
  assert.ok(count(true) > 10_000 && count(true) < 40_000, `${count(true)} in a second`);
  assert.ok(count(false) > 3 * count(true));
  const idle = new ZeroRate(0);
  assert.ok(idle.allowed(60_000, false) < 1000, "nothing is saved up for long");
});

/** A pager over a small guest, with a link that keeps frames until `deliver`. */
function world(how: { order?: PushOrderName; poolPages?: number; bases?: readonly number[] } = {}) {
  const memory = sourceMemory(ENGINES.auto, "auto", 64 * PAGE_BYTES, (how.poolPages ?? PAGES) * PAGE_BYTES);
  const { kernels } = memory;
  const numbers = new PageNumbers([BLOCK]);
  const store = new SlottedStore(kernels, memory.store, numbers.total);
  const encoder = new PageEncoder(kernels, store, new HashedIndex(store.slots), ENGINES.auto, numbers);
  const frames: { parts: readonly Uint8Array[]; acked: () => void }[] = [];
  const outgoing = new Outgoing({
    send: (_kind, parts, acked) => frames.push({ parts, acked }) > 0,
    room: () => undefined,
    now: () => performance.now(),
  });
  const packer = new Packer();
  const bodies = new BatchRoom(memory.batches!, () => undefined);
  /** What the target had of these pages before the switch: the page's number in each byte, but for the first. */
  const before = (page: number) => new Uint8Array(PAGE_BYTES).fill(page % 250, 1);
  for (const page of how.bases ?? []) kernels.bytes.set(before(page), store.put(page));
  encoder.freeze();
  let settled = 0;
  const pager = new Pager({
    ...{ kernels, pool: memory.pool, numbers, store, encoder, bodies, packer, outgoing },
    order: how.order ?? "linear",
    now: () => performance.now(),
    link: () => ({ roundTripMsMin: 1 }) as LinkStats,
    room: () => undefined,
    settled: () => void settled++,
  });

  /** The target: contents by page, and how often each came. */
  const got = new Map<number, Uint8Array>();
  const order: number[] = [];
  const outAt = memory.stream.take()!;
  const targetStore = new SlottedStore(
    kernels,
    { start: memory.stream.take()!, bytes: 64 * PAGE_BYTES },
    numbers.total,
  );
  for (const page of how.bases ?? []) kernels.bytes.set(before(page), targetStore.put(page));
  const told = (offset: number, content: Uint8Array): void => {
    const page = offset / PAGE_BYTES;
    assert.ok(!got.has(page), `page ${page} came twice`);
    got.set(page, content);
    order.push(page);
  };
  const decoder = new PageDecoder(kernels, targetStore, numbers, {
    page: (_block, offset, at) => told(offset, kernels.bytes.slice(at, at + PAGE_BYTES)),
    zero: (_block, offset) => told(offset, new Uint8Array(PAGE_BYTES)),
    missing: (page) => assert.fail(`page ${page} has no base`),
  });
  decoder.freeze();
  const bodyAt = memory.stream.take()!;

  const run = new Run();
  return {
    ...{ pager, got, order, frames, encoder },
    settled: () => settled,
    /** QEMU gives these pages. */
    give(pages: readonly number[], content: (page: number) => Uint8Array | undefined): number {
      run.reset();
      const at = memory.stream.take()!;
      for (const [i, page] of pages.entries()) {
        const bytes = content(page);
        run.page(page, bytes === undefined, false);
        if (bytes !== undefined) kernels.bytes.set(bytes, at + i * PAGE_BYTES);
        run.hash(bytes === undefined ? 0 : at + i * PAGE_BYTES, 0, 0, 0, 0);
      }
      const odd = pager.take(run);
      memory.stream.release(at);
      return odd;
    },
    /** The next frame arrives and is acknowledged. @returns its form; undefined: there is none */
    deliver(): PagesForm | undefined {
      const frame = frames.shift();
      if (frame === undefined) return undefined;
      const payload = Buffer.concat(frame.parts);
      const prefix = decodePagesPrefix(payload);
      assert.ok(typeof prefix !== "string", String(prefix));
      const packed = payload.subarray(PAGES_PREFIX_BYTES);
      const body = prefix.form === PagesForm.zstd ? zstdDecompressSync(packed) : packed;
      kernels.bytes.set(body, bodyAt);
      decoder.decode(
        { at: bodyAt, bytes: prefix.bodyBytes, entries: prefix.entries, repair: false },
        outAt,
        PAGES_OUTPUT_BYTES_MAX,
        undefined,
      );
      frame.acked();
      return prefix.form;
    },
    async deliverAll(): Promise<void> {
      for (let idle = 0; idle < 50; ) {
        if (this.deliver() === undefined) {
          idle++;
          await sleep(2);
        } else idle = 0;
      }
    },
    close() {
      outgoing.ended();
      pager.close();
      packer.close();
    },
  };
}

const content = (page: number): Uint8Array | undefined =>
  page % 7 === 0 ? undefined : Buffer.alloc(PAGE_BYTES, `page ${page} of the guest `);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("the pager", () => {
  for (const order of ["linear", "auto", "bubbles"] as const) {
    test(`every page comes once, whole, by ${order}`, async () => {
      const w = world({ order });
      w.pager.discard(BLOCK, 0, PAGES * PAGE_BYTES);
      w.pager.begin();
      w.pager.packageLoaded();
      for (let first = 0; first < PAGES; first += 64)
        assert.equal(
          w.give(
            upTo(64).map((i) => first + i),
            content,
          ),
          -1,
        );
      assert.equal(w.settled(), 0);
      assert.equal(w.pager.end(), true);
      for (const page of [300, 301, 17, 300]) assert.equal(w.pager.request(page), true);
      await w.deliverAll();
      assert.equal(w.got.size, PAGES);
      for (const page of upTo(PAGES))
        assert.deepEqual(
          Buffer.from(w.got.get(page)!),
          Buffer.from(content(page) ?? new Uint8Array(PAGE_BYTES)),
        );
      assert.equal(w.settled(), 1);
      const { answered, pushed, outstanding, late, poolBytesMax } = w.pager.figures();
      assert.equal(answered + pushed, outstanding);
      assert.equal(outstanding, PAGES);
      assert.ok(late >= 1, "asked for twice");
      assert.equal(poolBytesMax, upTo(PAGES).filter((page) => page % 7 !== 0).length * PAGE_BYTES);
      w.close();
    });
  }

  test("zeros that are on their way do not keep content back", async () => {
    const w = world();
    w.pager.discard(BLOCK, 0, PAGES * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    w.give(upTo(128), () => undefined);
    await sleep(4);
    const zeros = w.frames.length;
    assert.ok(zeros > 0, "zeros leave, and nobody acknowledges them");
    w.give([200, 201], () => Buffer.alloc(PAGE_BYTES, "content"));
    assert.ok(w.frames.length > zeros, "a line that is looked at counts as empty");
    w.close();
  });

  test("an answer leaves at once, in a frame of its own", () => {
    const w = world();
    w.pager.discard(BLOCK, 0, PAGES * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    w.give(
      upTo(200).map((i) => 100 + i),
      content,
    );
    const before = w.frames.length;
    assert.equal(w.pager.request(250), true);
    assert.equal(w.frames[before]!.parts[0]![0], PagesForm.answer);
    w.close();
  });

  test("what QEMU has not given yet is asked of it, and answered as soon as it comes", () => {
    const w = world({ order: "demand" });
    w.pager.discard(BLOCK, 0, PAGES * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    assert.equal(w.pager.request(5), false);
    assert.equal(w.frames.length, 0);
    w.give([4, 5, 6], content);
    assert.equal(w.deliver(), PagesForm.answer);
    assert.deepEqual(w.order, [5]);
    assert.equal(w.pager.figures().passedOn, 1);
    w.close();
  });

  test("pages that were not discarded, or come again, are named", () => {
    const w = world({ order: "demand" });
    w.pager.discard(BLOCK, 0, 10 * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    assert.equal(w.give([1, 2, 11], content), 11);
    assert.equal(w.give([2], content), 2);
    assert.equal(w.pager.end(), false, "eight have not come");
    w.close();
  });

  test("a full pool takes no more until pages have left", async () => {
    const w = world({ poolPages: 128 });
    w.pager.discard(BLOCK, 0, PAGES * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    const solid = (page: number) => Buffer.alloc(PAGE_BYTES, `solid ${page} `);
    let given = 0;
    for (let looks = 0; given < PAGES && looks < 2000; looks++) {
      if (w.pager.hasRoom) {
        assert.equal(
          w.give(
            upTo(64).map((i) => given + i),
            solid,
          ),
          -1,
        );
        given += 64;
      } else if (w.deliver() === undefined) await sleep(2);
    }
    assert.equal(given, PAGES);
    assert.equal(w.pager.end(), true);
    await w.deliverAll();
    assert.equal(w.got.size, PAGES);
    assert.equal(w.pager.figures().poolBytesMax, 128 * PAGE_BYTES);
    w.close();
  });

  test("what is left to come need not be a whole run of records to be taken", () => {
    const w = world({ order: "demand", poolPages: 70 });
    w.pager.discard(BLOCK, 0, 70 * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    const solid = (page: number) => Buffer.alloc(PAGE_BYTES, `solid ${page} `);
    assert.equal(w.give(upTo(64), solid), -1);
    assert.ok(w.pager.hasRoom, "for the last six");
    w.close();
  });

  test("a page that the target had crosses as what changed, also when nothing did", async () => {
    const bases = upTo(40);
    const w = world({ bases });
    w.pager.discard(BLOCK, 0, 40 * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    const newer = (page: number) => {
      const bytes = new Uint8Array(PAGE_BYTES).fill(page % 250, 1);
      if (page % 2 === 0) bytes[100] = 251;
      return bytes;
    };
    w.give(bases, newer);
    w.pager.end();
    await w.deliverAll();
    for (const page of bases) assert.deepEqual(w.got.get(page), newer(page));
    const { delta, same } = w.encoder.forms;
    assert.ok(delta.pages > 15 && same.pages >= 19, JSON.stringify(w.encoder.forms));
    w.close();
  });

  test("without a link nothing counts as sent", async () => {
    const w = world();
    w.pager.discard(BLOCK, 0, PAGES * PAGE_BYTES);
    w.pager.begin();
    w.pager.packageLoaded();
    w.give(upTo(64), content);
    w.close();
    const { answered, pushed } = w.pager.figures();
    assert.equal(w.pager.request(60), true);
    w.pager.end();
    await sleep(20);
    assert.equal(w.settled(), 0);
    assert.deepEqual([w.pager.figures().answered, w.pager.figures().pushed], [answered, pushed]);
  });
});
