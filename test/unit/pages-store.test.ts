/**
 * Goal: page numbers count through all blocks; the page store keeps what is sent often and nothing beyond its limit; the
 * content index is lossy but never wrong by itself; a new sweep of QEMU is noticed.
 * Method: small cases by hand; the store's worth as hits in simulated migrations, against a store that keeps what was
 * sent last (LRU).
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HashedIndex, PageNumbers, PassWatch, SlottedStore } from "../../src/pages/mod.ts";

const PAGE_BYTES = 4096;
const MIB = 1024 * 1024;

describe("page numbers", () => {
  const blocks = [3, 0, 2].map((pages, index) => ({ index, name: `ram${index}`, bytes: pages * PAGE_BYTES }));
  const numbers = new PageNumbers(blocks);

  it("count through all blocks in order, empty ones included", () => {
    assert.equal(numbers.total, 5);
    assert.equal(numbers.number(blocks[0]!, 2 * PAGE_BYTES), 2);
    assert.equal(numbers.number(blocks[2]!, 0), 3);
  });

  it("lead back to block and offset, in any order of asking", () => {
    for (const page of [4, 0, 3, 2, 1, 4]) {
      const block = numbers.blockOf(page);
      assert.equal(block.index, page < 3 ? 0 : 2);
      assert.equal(numbers.number(block, numbers.offsetOf(page)), page);
    }
  });

  it("outside the blocks are refused", () => {
    for (const page of [-1, 5, Number.NaN, 2 ** 32]) {
      assert.throws(() => numbers.blockOf(page), RangeError);
      assert.throws(() => numbers.offsetOf(page), RangeError);
    }
  });

  it("reach beyond 4 GiB, and stop at int32", () => {
    const large = { index: 0, name: "pc.ram", bytes: 2 ** 42 };
    const small = { index: 1, name: "rom", bytes: PAGE_BYTES };
    const wide = new PageNumbers([large, small]);
    assert.equal(wide.number(large, 2 ** 42 - PAGE_BYTES), 2 ** 30 - 1);
    assert.equal(wide.offsetOf(2 ** 30 - 1), 2 ** 42 - PAGE_BYTES);
    assert.equal(wide.blockOf(2 ** 30), small);
    assert.throws(() => new PageNumbers([{ ...large, bytes: 2 ** 43 }]), RangeError);
    assert.throws(() => new PageNumbers([small]), /stands at 0/);
  });
});

function storeOf(slots: number, totalPages: number, start = PAGE_BYTES): SlottedStore {
  const kernels = { bytes: new Uint8Array(start + slots * PAGE_BYTES) };
  return new SlottedStore(kernels, { start, bytes: slots * PAGE_BYTES }, totalPages);
}

describe("the page store", () => {
  it("keeps a page in its slot until zeros are sent or it leaves as a record", () => {
    const store = storeOf(2, 10);
    const slot = store.put(7);
    assert.notEqual(slot, 0);
    assert.equal(store.put(7), slot);
    assert.equal(store.at(7), slot);
    assert.equal(store.usedBytes, PAGE_BYTES);

    store.zero(7);
    assert.deepEqual([store.at(7), store.isZero(7), store.usedBytes], [0, true, 0]);
    assert.equal(store.put(3), slot, "the slot is free for another");
    assert.equal(store.isZero(7), true);
    store.put(7);
    assert.equal(store.isZero(7), false);
    store.forget(7);
    assert.deepEqual([store.at(7), store.isZero(7), store.usedBytes], [0, false, PAGE_BYTES]);
  });

  it("evicts a page only for one that was sent more often", () => {
    const store = storeOf(1, 10);
    assert.notEqual(store.put(1), 0);
    assert.equal(store.put(2), 0, "as often is not more often");
    assert.notEqual(store.at(1), 0);
    assert.notEqual(store.put(2), 0, "the second time");
    assert.equal(store.at(1), 0);
    assert.equal(store.put(1), 0, "which is no reason to throw it out at once");
  });

  it("of no bytes keeps nothing but what is zero", () => {
    const store = storeOf(0, 10);
    for (let i = 0; i < 5; i++) assert.equal(store.put(4), 0);
    store.zero(4);
    assert.deepEqual([store.slots, store.at(4), store.isZero(4), store.usedBytes], [0, 0, true, 0]);
  });

  it("has as many slots as whole pages fit, whatever its start, and no more than there are pages", () => {
    const kernels = { bytes: new Uint8Array(100_000) };
    const slots = (start: number, bytes: number): number =>
      new SlottedStore(kernels, { start, bytes }, 12).slots;
    assert.equal(slots(1, 5 * PAGE_BYTES + 4095), 5);
    assert.equal(slots(4000, 5 * PAGE_BYTES), 5);
    assert.equal(slots(64, 20 * PAGE_BYTES), 12);
    assert.throws(() => slots(64, 100_000), RangeError);
    assert.throws(() => slots(0, PAGE_BYTES), RangeError);
  });

  it("refuses a number that is no page", () => {
    const store = storeOf(2, 10);
    for (const page of [-1, 10]) {
      assert.throws(() => store.put(page), RangeError);
      assert.throws(() => store.zero(page), RangeError);
    }
  });
});

describe("in a simulated migration the page store", () => {
  const PAGES = 4096;

  /** Keeps what was sent last: what a cache mostly does. */
  class RecentStore {
    readonly #kept = new Set<number>();
    readonly #slots: number;
    constructor(slots: number) {
      this.#slots = slots;
    }
    at(page: number): number {
      return this.#kept.has(page) ? 1 : 0;
    }
    put(page: number): void {
      this.#kept.delete(page);
      this.#kept.add(page);
      if (this.#kept.size > this.#slots) for (const oldest of this.#kept) return this.#drop(oldest);
    }
    #drop(page: number): void {
      this.#kept.delete(page);
    }
  }

  const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
  const swept = (...sets: number[][]): number[] => [...new Set(sets.flat())].sort((a, b) => a - b);

  /**
   * What part of the pages sent after the first sweep had its base kept.
   * @param counted  the pages that count
   */
  function hits(
    store: { at(page: number): number; put(page: number): unknown },
    passes: readonly number[][],
    counted: (page: number) => boolean = () => true,
  ): number {
    let sent = 0;
    let hit = 0;
    for (const page of range(0, PAGES)) store.put(page);
    for (const page of passes.flat()) {
      if (counted(page)) {
        sent++;
        if (store.at(page) !== 0) hit++;
      }
      store.put(page);
    }
    return hit / sent;
  }

  it("has a use for its slots in sweeps over four times as many pages, where LRU has none", () => {
    const passes = range(0, 20).map(() => range(0, PAGES));
    assert(hits(storeOf(PAGES / 4, PAGES), passes) > 0.24);
    assert.equal(hits(new RecentStore(PAGES / 4), passes), 0);
  });

  it("keeps the hot pages under sweeps over all others", () => {
    const hot = range(1000, 1225);
    const isHot = (page: number): boolean => page >= 1000 && page < 1225;
    // In each pass the hot pages, and a fourth of all others.
    const passes = range(0, 40).map((pass) => {
      const quarter = (pass % 4) * (PAGES / 4);
      return swept(hot, range(quarter, quarter + PAGES / 4));
    });
    assert(hits(storeOf(256, PAGES), passes, isHot) > 0.9);
    // But for one pass in four, in which they come last, and first in the next.
    assert(hits(new RecentStore(256), passes, isHot) < 0.3);
  });

  it("follows a working set that moves", () => {
    const passes = range(0, 60).map((pass) => (pass < 20 ? range(0, 250) : range(2000, 2250)));
    const store = storeOf(256, PAGES);
    hits(store, passes);
    const kept = range(2000, 2250).filter((page) => store.at(page) !== 0).length;
    assert(kept > 225, `${kept} of 250`);
  });
});

describe("the content index", () => {
  it("finds the page that was noted last with a hash, by all of its 64 bits", () => {
    const index = new HashedIndex(100);
    assert.equal(index.find(5, 6), -1);
    index.note(0, 5, 6);
    index.note(9, 5, 6);
    assert.equal(index.find(5, 6), 9);
    assert.equal(index.find(5, 7), -1);
    assert.equal(index.find(5 | (1 << 31), 6), -1);
    assert.equal(index.find(0, 0), -1);
  });

  it("takes halves as int32 or u32", () => {
    const index = new HashedIndex(4);
    index.note(3, 0xdead_beef, 0xffff_fffe);
    assert.equal(index.find(0xdead_beef | 0, -2), 3);
    index.note(4, -1, -2);
    assert.equal(index.find(0xffff_ffff, 0xffff_fffe), 4);
  });

  it("keeps two hashes of one place, and the newer ones of three", () => {
    const index = new HashedIndex(1);
    index.note(1, 1, 0);
    index.note(2, 2, 0);
    assert.deepEqual([index.find(1, 0), index.find(2, 0)], [1, 2]);
    index.note(7, 2, 0);
    assert.deepEqual([index.find(1, 0), index.find(2, 0)], [1, 7], "noted again costs no other");
    index.note(3, 3, 0);
    assert.deepEqual([index.find(1, 0), index.find(2, 0), index.find(3, 0)], [-1, 7, 3]);
  });

  it("remembers nearly all pages of a full store", () => {
    const slots = 4096;
    const index = new HashedIndex(slots);
    const lo = (page: number): number => Math.imul(page + 1, 0x9e37_79b1) ^ (page >>> 3);
    for (let page = 0; page < slots; page++) index.note(page, lo(page), page);
    const found = Array.from({ length: slots }, (_, page) => index.find(lo(page), page) === page);
    assert(found.filter(Boolean).length > 0.85 * slots);
  });

  it("can be made to collide", () => {
    const index = new HashedIndex(64, { bits: 3 });
    index.note(5, 0b10_101, 77);
    assert.equal(index.find(0b01_101, 78), 5);
    assert.equal(index.find(0b01_100, 77), -1);
    const blind = new HashedIndex(64, { bits: 0 });
    blind.note(5, 1, 2);
    assert.equal(blind.find(123_456, 654_321), 5);
    const half = new HashedIndex(64, { bits: 33 });
    half.note(5, 1, 2);
    assert.equal(half.find(1, 4), 5);
    assert.equal(half.find(1, 3), -1);
  });
});

describe("the watch for sweeps", () => {
  it("tells a sweep at the first page, at an earlier block, and at a place far back", () => {
    const watch = new PassWatch();
    const places: readonly (readonly [number, number, boolean])[] = [
      [0, 5 * MIB, true],
      [0, 5 * MIB + 4096, false],
      [1, 0, false],
      [1, 3 * MIB, false],
      [0, 9 * MIB, true],
      [0, 2 * MIB, true],
      [2, 0, false],
      [1, 8 * MIB, true],
    ];
    const told = places.map(([block, offset]) => watch.tell(block, offset));
    assert.deepEqual(
      told,
      places.map((place) => place[2]),
    );
    assert.equal(watch.pass, 4);
  });

  it("takes disorder within 1 MiB for none, measured from the furthest page", () => {
    const watch = new PassWatch();
    watch.tell(0, 4 * MIB);
    assert.equal(watch.tell(0, 3 * MIB), false);
    assert.equal(watch.tell(0, 3 * MIB + 4096), false);
    assert.equal(watch.tell(0, 3 * MIB - 4096), true);
    assert.equal(watch.tell(0, 4 * MIB), false);
  });
});
