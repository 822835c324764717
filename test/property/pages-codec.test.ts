/**
 * Goal: whatever versions are offered, in whatever batches, with however small a store, the target has the newest ones;
 * and no peer's bytes make the decoder write where it may not, or act on a frame that breaks a rule.
 * Method: an encoder and a decoder with a memory and a store each (test/tools/codecPair.ts); the records are read by the
 * stream's own reader; the memory around output and store is compared after each frame. The model is a map from page to
 * its newest content.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { buildKernels } from "../../kernels/build.ts";
import { PAGE_BYTES } from "../../kernels/mod.ts";
import { BATCH_BYTES_MIN, ENGINES, ENTRY_RULES, Offer, PagesFault } from "../../src/pages/mod.ts";
import { PAGES_BODY_BYTES_MAX } from "../../src/wire/mod.ts";
import { arbitraryPage, arbitraryVersions } from "../tools/arbitrary-page.ts";
import { blocksOf, CodecPair } from "../tools/codecPair.ts";

const BLOCKS = blocksOf(5, 20, 1, 6);
const PAGES = 32;
const ZEROS = new Uint8Array(PAGE_BYTES);

type Step =
  | { readonly do: "zeros"; readonly page: number; readonly count: number }
  | { readonly do: "fresh"; readonly page: number; readonly content: Uint8Array }
  /** Two versions of the page, one after the other. */
  | { readonly do: "change"; readonly page: number; readonly versions: readonly [Uint8Array, Uint8Array] }
  /** Some words of what the page has. */
  | { readonly do: "touch"; readonly page: number; readonly words: readonly (readonly [number, number])[] }
  /** What one of the pages so far has. */
  | { readonly do: "copy"; readonly page: number; readonly of: number }
  | { readonly do: "again"; readonly page: number }
  /** As QEMU's own record, beside the engine. */
  | { readonly do: "pass"; readonly page: number; readonly content: Uint8Array | "zero" }
  | { readonly do: "end" };

const page = fc.nat(PAGES - 1);
const word = fc.tuple(fc.nat(PAGE_BYTES - 1), fc.nat(255));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("zeros" as const), page, count: fc.integer({ min: 1, max: 12 }) }),
  fc.record({
    do: fc.constant("fresh" as const),
    page,
    content: fc.oneof(arbitraryPage, fc.constant(ZEROS)),
  }),
  fc.record({ do: fc.constant("change" as const), page, versions: arbitraryVersions }),
  fc.record({
    do: fc.constant("touch" as const),
    page,
    words: fc.array(word, { minLength: 1, maxLength: 12 }),
  }),
  fc.record({ do: fc.constant("copy" as const), page, of: fc.nat() }),
  fc.record({ do: fc.constant("again" as const), page }),
  fc.record({
    do: fc.constant("pass" as const),
    page,
    content: fc.oneof(arbitraryPage, fc.constant("zero" as const)),
  }),
  fc.constant({ do: "end" as const }),
);

/** Offers what the steps say, and keeps the newest versions. */
function run(
  pair: CodecPair,
  steps: readonly Step[],
  begin: () => void,
  newest = new Map<number, Uint8Array>(),
) {
  const offer = (page: number, content: Uint8Array): void => {
    pair.send(page, content, begin);
    newest.set(page, Uint8Array.from(content));
  };
  begin();
  for (const step of steps) {
    switch (step.do) {
      case "zeros":
        for (let page = step.page; page < Math.min(PAGES, step.page + step.count); page++) {
          pair.send(page, "zero", begin);
          newest.set(page, ZEROS);
        }
        break;
      case "fresh":
        offer(step.page, step.content);
        break;
      case "change":
        for (const version of step.versions) offer(step.page, version);
        break;
      case "touch": {
        const content = Uint8Array.from(newest.get(step.page) ?? ZEROS);
        for (const [at, byte] of step.words) content[at] = byte;
        offer(step.page, content);
        break;
      }
      case "copy":
        offer(step.page, [...newest.values()][step.of % newest.size] ?? ZEROS);
        break;
      case "again":
        offer(step.page, newest.get(step.page) ?? ZEROS);
        break;
      case "pass": {
        pair.flush();
        begin();
        pair.pass(step.page, step.content);
        newest.set(step.page, step.content === "zero" ? ZEROS : step.content);
        break;
      }
      case "end":
        pair.flush();
        begin();
    }
  }
  pair.flush();
  return newest;
}

function assertLoaded(pair: CodecPair, newest: ReadonlyMap<number, Uint8Array>): void {
  assert.deepEqual([...pair.loaded.keys()].sort(), [...newest.keys()].sort());
  for (const [page, content] of newest)
    assert(Buffer.from(content).equals(pair.loaded.get(page)!), `page ${page} is not the newest version`);
}

/** Both stores keep the same versions of the same pages. */
function assertInStep(pair: CodecPair): void {
  for (let page = 0; page < PAGES; page++) {
    const at = pair.sourceStore.at(page);
    assert.equal(pair.targetStore.at(page), at);
    assert.equal(pair.targetStore.isZero(page), pair.sourceStore.isZero(page));
    if (at === 0 || pair.decoder.missingPages.has(page)) continue;
    const kept = pair.source.bytes.subarray(at, at + PAGE_BYTES);
    assert(Buffer.from(kept).equals(pair.target.bytes.subarray(at, at + PAGE_BYTES)), `page ${page}`);
  }
}

before(async () => {
  await buildKernels();
});

describe("encoder and decoder", () => {
  const settings = fc.record({
    slots: fc.oneof(fc.constantFrom(0, 1, 3, PAGES), fc.nat(PAGES)),
    bytesMax: fc.integer({ min: BATCH_BYTES_MIN, max: PAGES_BODY_BYTES_MAX }),
    packed: fc.boolean(),
    bits: fc.constantFrom(64, 64, 4, 0),
    steps: fc.array(step, { maxLength: 60 }),
  });

  for (const engine of Object.values(ENGINES)) {
    it(`${engine.name}: any versions in any batches arrive, both stores in step`, () => {
      fc.assert(
        fc.property(settings, ({ slots, bytesMax, packed, bits, steps }) => {
          const pair = new CodecPair({ engine, blocks: BLOCKS, slots, index: { bits } });
          const newest = run(pair, steps, () => pair.begin(bytesMax, packed));
          assertLoaded(pair, newest);
          assertInStep(pair);
          assert.deepEqual(pair.asked, []);
        }),
        { numRuns: 40 },
      );
    });
  }

  it("lost bases are asked for, and a repair brings the pages; nothing is guessed", () => {
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 4 }), ({ slots, bytesMax, steps }, every) => {
        let bases = 0;
        const loseBase = (): boolean => ++bases % every === 0;
        const pair = new CodecPair({ engine: ENGINES.auto, blocks: BLOCKS, slots, loseBase });
        const newest = run(pair, steps, () => pair.begin(bytesMax));
        assertInStep(pair);
        const { missingPages } = pair.decoder;
        for (const page of missingPages) assert(pair.asked.includes(page), `page ${page} was not asked for`);
        for (const [page, content] of newest)
          if (!missingPages.has(page)) assert(Buffer.from(content).equals(pair.loaded.get(page)!));

        // What the source still keeps it sends again; the rest it says it cannot.
        pair.begin();
        const lost: number[] = [];
        for (const page of [...missingPages]) {
          const at = pair.sourceStore.at(page);
          if (at === 0) {
            lost.push(page);
          } else if (pair.encoder.addRaw(page, at) === Offer.full) {
            pair.flush(true);
            pair.begin();
            pair.encoder.addRaw(page, at);
          }
        }
        pair.flush(true);
        assert.deepEqual([...missingPages].sort(), lost.sort());
        assertInStep(pair);
        for (const page of lost) {
          newest.delete(page);
          pair.loaded.delete(page);
        }
        assertLoaded(pair, newest);
      }),
      { numRuns: 40 },
    );
  });
});

describe("a peer's entries", () => {
  const mutation = fc.oneof(
    fc.record({ at: fc.nat(), byte: fc.nat(255) }),
    fc.record({ at: fc.nat(40), byte: fc.nat(255) }),
    fc.record({ cut: fc.nat() }),
    fc.record({ add: fc.uint8Array({ minLength: 1, maxLength: 30 }) }),
    fc.record({ entries: fc.integer({ min: -3, max: 3 }) }),
    fc.record({ from: fc.nat(), to: fc.nat(), bytes: fc.nat(40) }),
  );

  /** Either the frame is taken, or the rule is named; a rule that is no body's own was found before anything happened. */
  function assertJudged(pair: CodecPair, body: Uint8Array, entries: number, repair: boolean): void {
    // All behind the body: output and store.
    const before = Buffer.from(pair.target.bytes.subarray(pair.pageAt));
    const places = (): number[] => Array.from({ length: PAGES }, (_, page) => pair.targetStore.at(page));
    const placesBefore = places();
    const { lastBlock } = pair.decoder;
    const askedBefore = pair.asked.length;
    try {
      pair.receive(body, entries, repair);
    } catch (error) {
      assert(error instanceof PagesFault, String(error));
      if (!(error.rule in ENTRY_RULES)) return;
      assert(before.equals(pair.target.bytes.subarray(pair.pageAt)), "written before all was judged");
      assert.deepEqual(pair.told, [], "told before all was judged");
      assert.equal(pair.asked.length, askedBefore);
      assert.deepEqual(places(), placesBefore, "stored before all was judged");
      assert.equal(pair.decoder.lastBlock, lastBlock);
    }
  }

  it("mutated entries: a named rule before anything happens, or pages inside the blocks", () => {
    const frames = fc.record({
      slots: fc.constantFrom(0, 3, PAGES),
      before: fc.array(step, { maxLength: 20 }),
      frame: fc.array(step, { minLength: 1, maxLength: 12 }),
      mutations: fc.array(mutation, { minLength: 1, maxLength: 4 }),
      repair: fc.constantFrom(false, false, false, true),
    });
    fc.assert(
      fc.property(frames, ({ slots, before, frame, mutations, repair }) => {
        const pair = new CodecPair({ engine: ENGINES.auto, blocks: BLOCKS, slots });
        const newest = run(pair, before, () => pair.begin(undefined, false));
        // The last batch of the frame's steps is kept back and damaged.
        pair.begin(undefined, false);
        for (const step of frame) {
          if (step.do === "zeros") pair.offer(step.page, "zero");
          else if (step.do === "fresh") pair.offer(step.page, step.content);
          else if (step.do === "change") for (const version of step.versions) pair.offer(step.page, version);
          else if (step.do === "copy")
            pair.offer(step.page, [...newest.values()][step.of % newest.size] ?? ZEROS);
        }
        const size = pair.encoder.finish();
        let body = pair.source.bytes.slice(pair.bodyAt, pair.bodyAt + size.bytes);
        let { entries } = size;
        for (const m of mutations) {
          if ("byte" in m) body[m.at % Math.max(1, body.length)] = m.byte;
          else if ("cut" in m) body = body.slice(0, m.cut % (body.length + 1));
          else if ("add" in m) body = Uint8Array.from([...body, ...m.add]);
          else if ("entries" in m) entries = Math.max(1, entries + m.entries);
          else if (body.length > 0) {
            const from = m.from % body.length;
            body.copyWithin(m.to % body.length, from, from + m.bytes);
          }
        }
        if (body.length > PAGES_BODY_BYTES_MAX) body = body.slice(0, PAGES_BODY_BYTES_MAX);
        assertJudged(pair, body, entries, repair);
      }),
      { numRuns: 200 },
    );
  });

  it("any bytes: a named rule before anything happens, or pages inside the blocks", () => {
    const pair = new CodecPair({ engine: ENGINES.auto, blocks: BLOCKS, slots: 8 });
    // Small bytes: forms and numbers that mean something.
    const bytes = fc.oneof(
      fc.nat(8),
      fc.nat(31),
      fc.constantFrom(0x80, 0x81, 0x82, 0x83, 0x84, 0x85),
      fc.nat(255),
    );
    fc.assert(
      fc.property(
        fc.array(bytes, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        (body, entries) => {
          assertJudged(pair, Uint8Array.from(body), entries, false);
        },
      ),
      { numRuns: 1500 },
    );
  });
});
