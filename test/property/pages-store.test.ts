/**
 * Goal: both sides' page stores are in step by construction, what they keep is what was sent last, and no sequence of
 * calls makes them larger than they may be.
 * Method: the same random sends to two stores that lie in memories of different layout; contents are written where `put`
 * says, and all of it is compared with a plain map after each call. Which page has which slot is compared with a twin
 * that follows the words of docs/wire.md.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SlottedStore } from "../../src/pages/mod.ts";

const PAGE_BYTES = 4096;
const PAGES = 24;

type Call = { readonly kind: "put" | "zero" | "forget"; readonly page: number };

/** Mostly content, and some pages much more often than others. */
const call: fc.Arbitrary<Call> = fc.record({
  kind: fc.constantFrom("put", "put", "put", "put", "put", "zero", "forget"),
  page: fc.oneof(fc.nat(PAGES - 1), fc.nat(5)),
});
/** Long ones: what is left to itself, the generator makes of ten or so, which fill no store. */
const calls = fc.array(call, { maxLength: 400, size: "max" });
const slots = fc.constantFrom(0, 1, 2, 5, 9, 16, PAGES, PAGES + 3);

/** A store with guards around its region: bytes before and behind it are 0xee and stay so. */
class Side {
  readonly store: SlottedStore;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #start: number;
  readonly #end: number;

  constructor(storeSlots: number, start: number) {
    this.#start = start;
    this.#end = start + storeSlots * PAGE_BYTES;
    this.bytes = new Uint8Array(this.#end + 100).fill(0xee);
    const region = { start, bytes: this.#end - start };
    this.store = new SlottedStore({ bytes: this.bytes }, region, PAGES);
  }

  /** Number of the slot where the page is kept, or -1. */
  slotOf(page: number): number {
    const address = this.store.at(page);
    if (address === 0) return -1;
    assert(address >= this.#start && address + PAGE_BYTES <= this.#end, `page ${page} outside the region`);
    assert.equal((address - this.#start) % PAGE_BYTES, 0);
    return (address - this.#start) / PAGE_BYTES;
  }

  /** What lies in the page's slot: each page is filled with one byte. */
  fillOf(page: number): number {
    const address = this.store.at(page);
    const first = this.bytes[address]!;
    assert.equal(this.bytes[address + PAGE_BYTES - 1], first);
    return first;
  }

  send({ kind, page }: Call, fill: number): void {
    if (kind === "zero") return this.store.zero(page);
    if (kind === "forget") return this.store.forget(page);
    const slot = this.store.put(page);
    assert.equal(slot, this.store.at(page), "what put gives is where the page is kept");
    if (slot !== 0) this.bytes.fill(fill, slot, slot + PAGE_BYTES);
  }

  assertGuards(): void {
    assert(this.bytes.subarray(0, this.#start).every((byte) => byte === 0xee));
    assert(this.bytes.subarray(this.#end).every((byte) => byte === 0xee));
  }
}

/** The rules of docs/wire.md, word by word. */
class Twin {
  readonly slots: (number | undefined)[];
  readonly #counts = new Array<number>(PAGES).fill(0);
  readonly #free: number[];
  #hand = 0;
  #puts = 0;

  constructor(slotCount: number) {
    this.slots = new Array(Math.min(slotCount, PAGES)).fill(undefined);
    this.#free = [...this.slots.keys()].reverse();
  }

  send({ kind, page }: Call): void {
    const slot = this.slots.indexOf(page);
    if (kind === "put") return this.#put(page, slot);
    if (slot < 0) return;
    this.slots[slot] = undefined;
    this.#free.push(slot);
  }

  #put(page: number, slot: number): void {
    this.#counts[page] = Math.min(7, this.#counts[page]! + 1);
    if (slot < 0) {
      const place = this.#free.pop() ?? this.#evicted(this.#counts[page]!);
      if (place !== undefined) this.slots[place] = page;
    }
    if (++this.#puts % Math.max(8 * this.slots.length, 2 * PAGES) !== 0) return;
    for (const [of, count] of this.#counts.entries()) this.#counts[of] = Math.floor(count / 2);
  }

  #evicted(count: number): number | undefined {
    const looked: { slot: number; count: number }[] = [];
    while (looked.length < Math.min(8, this.slots.length) && looked.at(-1)?.count !== 0) {
      looked.push({ slot: this.#hand, count: this.#counts[this.slots[this.#hand]!]! });
      this.#hand = (this.#hand + 1) % this.slots.length;
    }
    const least = Math.min(...looked.map((look) => look.count));
    return least < count ? looked.find((look) => look.count === least)?.slot : undefined;
  }
}

const everyPage = Array.from({ length: PAGES }, (_, page) => page);

describe("two page stores that are told the same sends", () => {
  it("keep the same pages in the same slots, whatever the layout of their memory", () => {
    fc.assert(
      fc.property(slots, calls, (storeSlots, sends) => {
        const source = new Side(storeSlots, 64);
        const target = new Side(storeSlots, 5000);
        for (const [i, send] of sends.entries()) {
          source.send(send, i);
          target.send(send, i);
          for (const page of everyPage) {
            assert.equal(source.slotOf(page), target.slotOf(page));
            assert.equal(source.store.isZero(page), target.store.isZero(page));
          }
        }
        assert.equal(source.store.usedBytes, target.store.usedBytes);
        source.assertGuards();
        target.assertGuards();
      }),
      { numRuns: 60 },
    );
  });
});

describe("a page store", () => {
  it("gives slots by the rules of docs/wire.md", () => {
    fc.assert(
      fc.property(slots, calls, (storeSlots, sends) => {
        const side = new Side(storeSlots, 64);
        const twin = new Twin(storeSlots);
        for (const [i, send] of sends.entries()) {
          side.send(send, i);
          twin.send(send);
          for (const page of everyPage) assert.equal(side.slotOf(page), twin.slots.indexOf(page));
        }
      }),
    );
  });

  it("keeps the version sent last of each page it keeps, each in a slot of its own, within its limit", () => {
    fc.assert(
      fc.property(slots, calls, (storeSlots, sends) => {
        const side = new Side(storeSlots, 64);
        /** What was sent last: a fill, 0 for zeros, -1 for a record. */
        const newest = new Map<number, number>();
        for (const [i, send] of sends.entries()) {
          const fill = 1 + (i % 255);
          side.send(send, fill);
          newest.set(send.page, send.kind === "put" ? fill : send.kind === "zero" ? 0 : -1);
          const kept = everyPage.filter((page) => side.slotOf(page) >= 0);
          for (const page of kept) assert.equal(side.fillOf(page), newest.get(page));
          assert.equal(new Set(kept.map((page) => side.slotOf(page))).size, kept.length);
          assert.equal(side.store.usedBytes, kept.length * PAGE_BYTES);
          assert(side.store.usedBytes <= storeSlots * PAGE_BYTES);
          for (const page of everyPage) assert.equal(side.store.isZero(page), newest.get(page) === 0);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("loses no page while there is a free slot", () => {
    fc.assert(
      fc.property(calls, (sends) => {
        const side = new Side(PAGES, 64);
        const newest = new Map<number, Call["kind"]>();
        for (const send of sends) {
          side.send(send, 1);
          newest.set(send.page, send.kind);
        }
        for (const page of everyPage) assert.equal(side.slotOf(page) >= 0, newest.get(page) === "put");
      }),
    );
  });

  it("lets pages that are sent again and again stay under any scan", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(PAGES - 1), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(PAGES - 1), { minLength: 30, maxLength: 200, size: "max" }),
        (hot, scan) => {
          const side = new Side(8, 64);
          const cold = scan.filter((page) => !hot.includes(page));
          const sendHot = (): void => {
            for (const page of hot) side.send({ kind: "put", page }, 1);
          };
          for (let i = 0; i < 4; i++) sendHot();
          // Each cold page at most twice in a row of scans: less often than a hot one.
          const seen = new Map<number, number>();
          for (const [i, page] of cold.entries()) {
            const times = (seen.get(page) ?? 0) + 1;
            seen.set(page, times);
            if (times <= 2) side.send({ kind: "put", page }, 2);
            if (i % 10 === 9) sendHot();
            for (const kept of hot) assert(side.slotOf(kept) >= 0, `hot page ${kept} was evicted`);
          }
        },
      ),
    );
  });
});
