/**
 * Goal: each page gets the form that was decided for it, a batch keeps its bounds, and each rule of a peer's entries is
 * named.
 * Method: one encoder and one decoder with a memory each; batches are compared with bytes written out here.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { buildKernels } from "../../kernels/build.ts";
import { loadKernels, PAGE_BYTES } from "../../kernels/mod.ts";
import {
  BATCH_BYTES_MIN,
  ENGINES,
  ENTRY_RULES,
  type EntryRule,
  HashedIndex,
  Offer,
  PageEncoder,
  PageNumbers,
  PagesFault,
  SlottedStore,
} from "../../src/pages/mod.ts";
import { RecordHeads } from "../../src/pages/recordHeads.ts";
import { PageKind, putRecordHead, RamFlag } from "../../src/stream/mod.ts";
import { EntryForm, PAGES_OUTPUT_BYTES_MAX, pagesOutputBytes } from "../../src/wire/mod.ts";
import { blocksOf, CodecPair } from "../tools/codecPair.ts";

/** Bytes that nothing packs. */
function noise(seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: PAGE_BYTES }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** 512 pointers into one area, the low halves unlike: WKdm makes about 2700 bytes of it. */
function heap(seed: number): Uint8Array {
  const page = noise(seed);
  const view = new DataView(page.buffer);
  for (let at = 4; at < PAGE_BYTES; at += 8) view.setUint32(at, 0x7f42, true);
  return page;
}

/** Words that stand in a page of zeros. */
function words(count: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(PAGE_BYTES));
  for (let i = 0; i < count; i++) view.setUint32(16 * i, 0x01020304 + i, true);
  return new Uint8Array(view.buffer);
}

function changed(page: Uint8Array, from: number, bytes: number): Uint8Array {
  const copy = Uint8Array.from(page);
  for (let i = from; i < from + bytes; i++) copy[i]! ^= 0xff;
  return copy;
}

function pairOf(
  engine: keyof typeof ENGINES,
  options: Partial<ConstructorParameters<typeof CodecPair>[0]> = {},
) {
  return new CodecPair({ engine: ENGINES[engine], blocks: blocksOf(40, 8), slots: 48, ...options });
}

/** The form that each version got, by name. */
function formsOf(pair: CodecPair): string[] {
  return Object.entries(pair.encoder.forms).flatMap(([form, { pages }]) => Array<string>(pages).fill(form));
}

/** The batch that these versions make. */
function bodyOf(pair: CodecPair, offers: readonly (readonly [number, Uint8Array | "zero"])[]): Uint8Array {
  pair.begin();
  for (const [page, content] of offers) assert.equal(pair.offer(page, content), Offer.added);
  const { bytes } = pair.encoder.finish();
  return pair.source.bytes.slice(pair.bodyAt, pair.bodyAt + bytes);
}

before(async () => {
  await buildKernels();
});

describe("which form a page gets", () => {
  const base = noise(1);
  /** [engine, packed, what the page was, what it becomes, form] */
  const table = [
    ["auto", true, undefined, new Uint8Array(PAGE_BYTES), "zero"],
    ["auto", true, undefined, words(20), "sparse"],
    ["auto", true, undefined, heap(2), "raw"],
    ["auto", false, undefined, heap(2), "wkdm"],
    ["auto", false, undefined, noise(3), "raw"],
    ["auto", true, base, changed(base, 100, 40), "delta"],
    ["auto", true, base, changed(base, 0, 2000), "delta"],
    ["auto", true, base, changed(base, 0, 2100), "raw"],
    ["mecom", true, undefined, words(200), "sparse"],
    // A few bytes too many that are not zero, and words alike.
    ["mecom", true, undefined, words(256), "wkdm"],
    // Half of the words are alike: too few.
    ["mecom", true, undefined, heap(2), "raw"],
    ["mecom", true, undefined, noise(3), "raw"],
    ["mecom", true, base, changed(base, 100, 40), "raw"],
    ["xbrle", false, undefined, words(20), "raw"],
    ["xbrle", false, base, changed(base, 0, 4000), "delta"],
    ["xbrle", false, base, base, "delta"],
    ["xbrle", false, base, noise(4), "raw"],
    ["clark", false, base, changed(base, 100, 40), "raw"],
    ["reuse", false, undefined, words(20), "raw"],
  ] as const;
  for (const [i, [engine, packed, was, is, form]] of table.entries()) {
    const about = `${was === undefined ? "a new page" : "a later version"}, case ${i + 1}`;
    it(`${engine}${packed ? "" : ", not packed"}: ${about}: ${form}`, () => {
      const pair = pairOf(engine);
      pair.begin(undefined, packed);
      if (was !== undefined) assert.equal(pair.offer(7, was), Offer.added);
      assert.equal(pair.offer(7, is), Offer.added);
      const expected = was === undefined ? [form] : [form, "raw"];
      pair.flush();
      assert.deepEqual(formsOf(pair).sort(), expected.sort());
      assert(Buffer.from(is).equals(pair.loaded.get(7)!));
    });
  }

  it("auto sends nothing for a version that the target has, as content or as zeros; the papers' engines do", () => {
    for (const engine of Object.values(ENGINES)) {
      const pair = new CodecPair({ engine, blocks: blocksOf(40), slots: 40 });
      const again = engine.skipsUnchanged ? Offer.unchanged : Offer.added;
      pair.begin();
      for (const content of [noise(1), "zero"] as const) {
        assert.equal(pair.offer(7, content), Offer.added);
        assert.equal(pair.offer(7, content), again);
      }
      // Zeros that QEMU gave as a whole page.
      assert.equal(pair.offer(7, new Uint8Array(PAGE_BYTES)), again);
      assert.equal(pair.encoder.unchanged, engine.skipsUnchanged ? 3 : 0);
    }
  });

  it("the same content elsewhere crosses as a number", () => {
    const pair = pairOf("auto");
    const body = bodyOf(pair, [
      [3, noise(1)],
      [30, noise(1)],
      [31, noise(1)],
    ]);
    assert.deepEqual([...body.subarray(2 + PAGE_BYTES)], [EntryForm.same, 30, 3, 0x80 | EntryForm.same, 30]);
  });

  it("pages of one hash are compared; where they are not, the target loads the wrong page", () => {
    for (const trustsHashes of [false, true]) {
      const pair = pairOf("auto", { index: { bits: 0 }, trustsHashes });
      pair.begin();
      pair.send(3, noise(1));
      pair.send(4, noise(2));
      pair.flush();
      assert.equal(Buffer.from(noise(2)).equals(pair.loaded.get(4)!), !trustsHashes);
    }
  });

  it("bytes of entries add up to the batches, by form", () => {
    const pair = pairOf("auto");
    pair.begin(undefined, false);
    for (const content of ["zero", noise(1), words(9), heap(1), changed(noise(1), 9, 9)] as const)
      pair.send(content === "zero" ? 0 : 1, content);
    pair.send(2, changed(noise(1), 9, 9));
    const size = pair.flush();
    const total = Object.values(pair.encoder.forms).reduce((sum, { bytes }) => sum + bytes, 0);
    assert.equal(total, size?.bytes);
  });
});

describe("a batch", () => {
  it("zero pages one after another are one entry, which ends with its block", () => {
    const body = bodyOf(pairOf("auto"), [
      [37, "zero"],
      [38, "zero"],
      [39, "zero"],
      [40, "zero"],
      [42, "zero"],
      [43, noise(1)],
    ]);
    assert.deepEqual([...body.subarray(0, 9)], [0, 37, 3, 0x80, 1, 0, 42, 1, 0x80 | EntryForm.raw]);
  });

  it("a body of 128 bytes and more has two bytes of length", () => {
    const pair = pairOf("auto");
    const entryBytes: number[] = [];
    for (let page = 0; page < 40; page++) {
      const version = changed(noise(page), 50, 110 + page);
      pair.begin();
      pair.send(page, noise(page));
      pair.flush();
      pair.begin();
      pair.send(page, version);
      entryBytes.push(pair.flush()!.bytes);
      assert(Buffer.from(version).equals(pair.loaded.get(page)!));
    }
    // Head, number, length, body.
    assert(entryBytes.includes(1 + 1 + 1 + 127));
    assert(entryBytes.includes(1 + 1 + 2 + 128));
    assert(!entryBytes.includes(1 + 1 + 2 + 127));
  });

  it("is full before it is too long, and takes what did not fit after it was sent", () => {
    const pair = pairOf("clark");
    pair.begin(BATCH_BYTES_MIN);
    assert.equal(pair.offer(0, noise(1)), Offer.added);
    assert.equal(pair.offer(1, noise(2)), Offer.full);
    assert.equal(pair.offer(1, noise(2)), Offer.full);
    const size = pair.flush();
    assert.equal(size?.entries, 1);
    pair.begin(BATCH_BYTES_MIN);
    assert.equal(pair.offer(1, noise(2)), Offer.added);
    assert.throws(() => pair.begin(BATCH_BYTES_MIN - 1), RangeError);
  });

  it("is full when QEMU would be given more than a frame may stand for", () => {
    const blocks = blocksOf(200_000, 400);
    const kernels = loadKernels({ memoryBytes: 2 ** 20 });
    const numbers = new PageNumbers(blocks);
    const store = new SlottedStore(kernels, { start: 2 ** 19, bytes: 4096 * 4 }, numbers.total);
    const encoder = new PageEncoder(kernels, store, new HashedIndex(4), ENGINES.auto, numbers);
    const pageAt = 2 ** 19 - PAGE_BYTES;

    encoder.begin(kernels.freeStart, 100_000);
    let zeros = 0;
    while (encoder.addZero(zeros) === Offer.added) zeros++;
    const run = encoder.finish();
    assert.equal(run.entries, 1);
    assert.equal(run.outputBytes, pagesOutputBytes(0, zeros, 1));
    assert(run.outputBytes + 9 > PAGES_OUTPUT_BYTES_MAX);

    encoder.begin(kernels.freeStart, 100_000);
    kernels.bytes.set(words(2), pageAt);
    let contents = 0;
    while (encoder.add(200_000 + contents, pageAt, contents, 7) === Offer.added) contents++;
    assert.equal(contents, Math.floor((PAGES_OUTPUT_BYTES_MAX - 257) / 4104));
    assert.equal(encoder.finish().outputBytes, pagesOutputBytes(contents, 0, 1));
  });
});

describe("the decoder", () => {
  const raw = [...noise(5)];
  const delta = [0x33, 1, 2, 3, 4];
  /** A body that breaks the rule, and how many entries it is said to have (1). */
  const broken: { readonly [R in EntryRule]: readonly (readonly [number[], number?])[] } = {
    entry_truncated: [[[EntryForm.raw, 1, 2, 3]], [[EntryForm.sparse, 1, 3, 0, 7]], [[0, 1, 1], 2]],
    entry_form: [[[6, 1, 1]], [[15, 1, 1]], [[0x10, 1, 1]], [[0x40, 1, 1]]],
    entry_next_first: [[[0x80, 1]], [[0x85, ...raw]]],
    entry_number: [[[0]], [[0, 0x80]], [[0, 1]], [[0, 0xff, 0xff, 0xff, 0xff, 0x1f, 1]]],
    entry_page: [
      [[0, 48, 1]],
      [[EntryForm.same, 1, 48]],
      [[0, 47, 1, 0x80, 1], 2],
      [[EntryForm.raw, 0xff, 0x01]],
    ],
    entry_run: [[[0, 1, 0]], [[0, 1, 40]], [[0, 40, 9]], [[0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]]],
    entry_body_empty: [[[EntryForm.delta, 1, 0]], [[EntryForm.sparse, 1, 0]], [[EntryForm.wkdm, 1, 0]]],
    entry_repair: [],
    entries_left_over: [[[0, 1, 1, 0]], [[0, 1, 1, 0x80, 1], 1], [[EntryForm.sparse, 1, 2, 0, 0, 0]]],
    entries_output: [[Array.from({ length: 250 }, () => [EntryForm.sparse, 1, 2, 0, 0]).flat(), 250]],
  };

  for (const rule of Object.keys(broken) as EntryRule[]) {
    if (rule === "entry_repair") continue;
    it(`names ${rule}, and nothing has happened`, () => {
      assert.notEqual(broken[rule].length, 0);
      const pair = pairOf("auto");
      for (const [body, entries = 1] of broken[rule]) {
        // Good entries before the broken one change nothing either.
        for (const [whole, count] of [
          [body, entries],
          ...(rule === "entry_next_first" ? [] : [[[0, 3, 2, ...body], entries + 1] as const]),
        ] as const) {
          const before = Buffer.from(pair.target.bytes.subarray(pair.pageAt));
          assert.throws(
            () => pair.receive(Uint8Array.from(whole), count),
            (error) => error instanceof PagesFault && error.rule === rule,
          );
          assert(before.equals(pair.target.bytes.subarray(pair.pageAt)));
          assert.deepEqual([pair.told, pair.targetStore.isZero(3)], [[], false]);
        }
      }
    });
  }

  it("takes only pages as they are in a repair", () => {
    const pair = pairOf("auto");
    for (const body of [
      [0, 1, 1],
      [EntryForm.same, 1, 1],
      [EntryForm.delta, 1, 5, ...delta],
    ])
      assert.throws(
        () => pair.receive(Uint8Array.from(body), 1, true),
        (error) => error instanceof PagesFault && error.rule === "entry_repair",
      );
    pair.receive(Uint8Array.from([EntryForm.raw, 1, ...raw]), 1, true);
    assert.deepEqual([...pair.loaded.get(1)!], raw);
  });

  it("names the rule that a body breaks by itself", () => {
    const pair = pairOf("auto");
    pair.begin();
    pair.send(1, noise(1));
    pair.flush();
    const bodies = [
      [[EntryForm.delta, 1, 1, 0x33], "delta_truncated"],
      [[EntryForm.sparse, 1, 1, 0xff], "sparse_truncated"],
      [[EntryForm.wkdm, 1, 3, 1, 2, 3], "wkdm_length"],
    ] as const;
    for (const [body, rule] of bodies)
      assert.throws(
        () => pair.receive(Uint8Array.from(body), 1),
        (error) => error instanceof PagesFault && error.rule === rule,
      );
  });

  it("asks for a page whose base it lacks, and for pages that equal it, until each has come", () => {
    const pair = pairOf("auto");
    pair.begin();
    // The target never had page 1: a delta against nothing, and a page that equals it.
    pair.receive(Uint8Array.from([EntryForm.delta, 1, 5, ...delta, 0x80 | EntryForm.same, 1]), 2);
    assert.deepEqual(pair.asked, [1, 2]);
    assert.deepEqual([...pair.decoder.missingPages], [1, 2]);
    assert.equal(pair.loaded.size, 0);
    // A later delta of it lacks its base still.
    pair.receive(Uint8Array.from([EntryForm.delta, 1, 5, ...delta]), 1);
    assert.deepEqual(pair.asked, [1, 2, 1]);
    pair.receive(Uint8Array.from([EntryForm.raw, 1, ...raw]), 1, true);
    assert.deepEqual([...pair.decoder.missingPages], [2]);
    pair.receive(Uint8Array.from([EntryForm.same, 2, 1]), 1);
    assert.deepEqual([...pair.decoder.missingPages], []);
    assert.deepEqual([...pair.loaded.get(2)!], raw);
  });

  it("keeps its store in step with the source's though a base is lacking", () => {
    const pair = pairOf("auto", { loseBase: () => true });
    pair.begin();
    for (const page of [3, 4]) pair.send(page, noise(1));
    pair.flush();
    assert.deepEqual(pair.asked, [4]);
    assert.notEqual(pair.sourceStore.at(4), 0);
    assert.equal(pair.targetStore.at(4), pair.sourceStore.at(4));
  });

  it("forgets that a page is missing when it comes as QEMU's record", () => {
    const pair = pairOf("auto");
    pair.receive(Uint8Array.from([EntryForm.same, 1, 2]), 1);
    assert.equal(pair.decoder.missingPages.size, 1);
    pair.pass(1, noise(1));
    assert.equal(pair.decoder.missingPages.size, 0);
  });

  it("refuses to write where there is no room", () => {
    const pair = pairOf("auto");
    pair.target.bytes.set([0, 1, 4], pair.bodyAt);
    const body = { at: pair.bodyAt, bytes: 3, entries: 1, repair: false };
    const outputBytes = pagesOutputBytes(0, 4, 1);
    assert.throws(() => pair.decoder.decode(body, pair.outAt, outputBytes - 1, undefined), RangeError);
    pair.decoder.decode(body, pair.outAt, outputBytes, undefined);
  });
});

it("heads of records are those of the stream's writer, also beyond 4 GiB", () => {
  const blocks = [
    { index: 0, name: "pc.ram", bytes: 2 ** 33 },
    { index: 1, name: "0000:00:02.0/vga.vram \u00e9", bytes: 2 ** 20 },
  ];
  const ours = new Uint8Array(300);
  const theirs = new Uint8Array(300);
  const heads = new RecordHeads(ours);
  for (const [index, offset, zero] of [
    [0, 0, true],
    [0, 4096, false],
    [0, 2 ** 32 + 2 ** 31 + 4096, false],
    [1, 4096, true],
    [1, 8192, true],
    [0, 2 ** 32 - 4096, false],
  ] as const) {
    const block = blocks[index]!;
    const previous = heads.last;
    const kind = zero ? PageKind.zero : PageKind.page;
    const end = putRecordHead(theirs, 0, { block, offset, kind, bodyBytes: zero ? 1 : PAGE_BYTES, previous });
    assert.equal(heads.put(0, block, offset, zero ? RamFlag.zero : RamFlag.page), end);
    assert.deepEqual(ours.subarray(0, end), theirs.subarray(0, end));
  }
});

it("each rule of entries is in the documentation", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/encodings.md"), "utf8");
  for (const rule of Object.keys(ENTRY_RULES)) assert(text.includes(`| \`${rule}\` |`), rule);
});
