/**
 * Goal: payloads of pages and again are what docs/wire.md says: its examples, each rule by name, and numbers that are
 * read as written, within their bounds.
 * Method: the examples of the page, read as text and decoded; one damaged field at a time; numbers at each change of length.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ENGINES } from "../../src/pages/mod.ts";
import {
  AGAIN_PAGES_MAX,
  decodeAgain,
  decodePagesPrefix,
  encodeAgain,
  encodePagesPrefix,
  PAGES_BODY_BYTES_MAX,
  PAGES_ENTRIES_MAX,
  PAGES_OUTPUT_BYTES_MAX,
  PAGES_PREFIX_BYTES,
  PagesForm,
  pagesOutputBytes,
  putVarint,
  VARINT_BYTES_MAX,
  VarintReader,
  varintBytes,
} from "../../src/wire/mod.ts";
import { CodecPair } from "../tools/codecPair.ts";

/** Bytes as the page writes them: in hex, `5a*3` for three of them, each line followed by what it means. */
function example(name: string): Uint8Array {
  const text = readFileSync(join(import.meta.dirname, "../../docs/wire.md"), "utf8");
  const block = new RegExp(`\`\`\`${name}\n([^\`]*)\`\`\``).exec(text)![1]!;
  const items = block
    .trimEnd()
    .split("\n")
    .flatMap((line) => /^(?:[0-9a-f]{2}(?:\*\d+)?(?= |$) *)+/.exec(line)![0].trim().split(/ +/));
  return Uint8Array.from(
    items.flatMap((item) => {
      const [byte, times] = item.split("*");
      return Array.from({ length: Number(times ?? 1) }, () => Number.parseInt(byte!, 16));
    }),
  );
}

describe("a pages payload", () => {
  it("of the page's example has this prefix", () => {
    const payload = example("pages");
    const prefix = { form: PagesForm.plain, entries: 5, bodyBytes: 4114 };
    assert.deepEqual(decodePagesPrefix(payload), prefix);
    assert.deepEqual(encodePagesPrefix(prefix), payload.subarray(0, PAGES_PREFIX_BYTES));
  });

  it("of the page's example makes these pages", () => {
    const pair = new CodecPair({
      engine: ENGINES.auto,
      blocks: [{ index: 0, name: "pc.ram", bytes: 2048 * 4096 }],
      slots: 8,
    });
    // The version that the delta leans on: all 7.
    const base = pair.targetStore.put(1024);
    pair.target.bytes.fill(7, base, base + 4096);

    pair.receive(example("pages").subarray(PAGES_PREFIX_BYTES), 5, false);
    assert.deepEqual(pair.asked, []);
    assert.deepEqual([...pair.loaded.keys()], [64, 65, 66, 67, 1024, 1025]);
    for (const page of [64, 65]) assert.deepEqual(pair.loaded.get(page), new Uint8Array(4096));
    for (const page of [66, 67]) assert.deepEqual(pair.loaded.get(page), new Uint8Array(4096).fill(0x5a));
    const patched = new Uint8Array(4096).fill(7);
    patched.set([0x11, 0x22, 0x33]);
    assert.deepEqual(pair.loaded.get(1024), patched);
    const sparse = new Uint8Array(4096);
    sparse[0] = 7;
    assert.deepEqual(pair.loaded.get(1025), sparse);
  });

  /** A right payload: plain, 3 entries, a body of 20 bytes. */
  const right = (): Uint8Array => {
    const payload = new Uint8Array(28);
    payload.set(encodePagesPrefix({ form: PagesForm.plain, entries: 3, bodyBytes: 20 }));
    return payload;
  };
  const broken: readonly (readonly [string, string, (b: Uint8Array) => Uint8Array])[] = [
    ["is shorter than a prefix", "pages_too_short", (b) => b.subarray(0, 7)],
    ["has no form of that number", "pages_form", (b) => withByte(b, 0, 4)],
    ["has something in the reserved byte", "pages_reserved", (b) => withByte(b, 1, 1)],
    ["has no entry", "pages_empty", (b) => withByte(b, 3, 0)],
    ["has entries of no bytes", "pages_empty", (b) => withByte(b, 7, 0).subarray(0, 8)],
    ["has a body larger than any", "pages_body_too_large", (b) => withByte(b, 5, 2)],
    ["has bytes behind its body", "pages_length", (b) => Uint8Array.of(...b, 0)],
    ["lacks the last byte of its body", "pages_length", (b) => b.subarray(0, 27)],
    ["repairs with a byte too few", "pages_length", (b) => withByte(b, 0, 2).subarray(0, 27)],
    ["is packed into as many bytes", "pages_length", (b) => withByte(b, 0, 1)],
    ["is packed into none", "pages_length", (b) => withByte(b, 0, 1).subarray(0, 8)],
  ];
  for (const [what, rule, damage] of broken)
    it(`that ${what} breaks ${rule}`, () => assert.equal(decodePagesPrefix(damage(right())), rule));

  it("may be packed by a single byte, or repair", () => {
    const packed = decodePagesPrefix(withByte(right(), 0, 1).subarray(0, 27));
    assert.deepEqual(packed, { form: PagesForm.zstd, entries: 3, bodyBytes: 20 });
    const repair = decodePagesPrefix(withByte(right(), 0, 2));
    assert.deepEqual(repair, { form: PagesForm.repair, entries: 3, bodyBytes: 20 });
  });

  it("at the bounds is fine, beyond them it is not written", () => {
    const prefix = (entries: number, bodyBytes: number) =>
      encodePagesPrefix({ form: PagesForm.zstd, entries, bodyBytes });
    const largest = prefix(PAGES_ENTRIES_MAX, PAGES_BODY_BYTES_MAX);
    assert.deepEqual(decodePagesPrefix(Uint8Array.of(...largest, 0)), {
      form: PagesForm.zstd,
      entries: PAGES_ENTRIES_MAX,
      bodyBytes: PAGES_BODY_BYTES_MAX,
    });
    assert.equal(decodePagesPrefix(withByte(largest, 7, 0xf9)), "pages_body_too_large");
    for (const [entries, bodyBytes] of [
      [0, 1],
      [PAGES_ENTRIES_MAX + 1, 1],
      [1, 0],
      [1, PAGES_BODY_BYTES_MAX + 1],
    ] as const)
      assert.throws(() => prefix(entries, bodyBytes), RangeError);
  });

  it("full of raw pages stays far below what QEMU may be given", () => {
    // Heads of the most bytes; each page in another block.
    const pages = Math.floor(PAGES_BODY_BYTES_MAX / (1 + 1 + 4096));
    assert(pagesOutputBytes(pages, 0, pages) < PAGES_OUTPUT_BYTES_MAX);
    assert.equal(pagesOutputBytes(2, 3, 4), 2 * 4104 + 3 * 9 + 4 * 257);
  });
});

function withByte(b: Uint8Array, at: number, value: number): Uint8Array {
  b[at] = value;
  return b;
}

describe("an again payload", () => {
  it("of the page's example names two pages", () => {
    assert.deepEqual(decodeAgain(example("again")), [1024, 67]);
    assert.deepEqual(encodeAgain([1024, 67]), example("again"));
  });

  it("has one page at least and 1024 at most", () => {
    assert.equal(AGAIN_PAGES_MAX, 1024);
    const most = Array.from({ length: 1024 }, (_, i) => 0xffff_ffff - i);
    assert.deepEqual(decodeAgain(encodeAgain(most)), most);
    for (const pages of [[], [...most, 0], [-1], [2 ** 32]])
      assert.throws(() => encodeAgain(pages), RangeError);
  });

  it("that breaks a rule is named", () => {
    assert.equal(decodeAgain(new Uint8Array(0)), "again_empty");
    assert.equal(decodeAgain(new Uint8Array(5)), "again_length");
    assert.equal(decodeAgain(new Uint8Array(4100)), "again_length");
  });
});

describe("a varint", () => {
  const reader = new VarintReader();
  const read = (bytes: readonly number[], end = bytes.length): number =>
    reader.read(Uint8Array.from(bytes), 0, end);

  it("has these bytes", () => {
    const written = (value: number): number[] => {
      const b = new Uint8Array(VARINT_BYTES_MAX);
      return [...b.subarray(0, putVarint(b, 0, value))];
    };
    assert.deepEqual(written(0), [0]);
    assert.deepEqual(written(127), [0x7f]);
    assert.deepEqual(written(128), [0x80, 0x01]);
    assert.deepEqual(written(300), [0xac, 0x02]);
    assert.deepEqual(written(0xffff_ffff), [0xff, 0xff, 0xff, 0xff, 0x0f]);
  });

  it("is read as written, in as many bytes as foretold, wherever it stands", () => {
    const value = fc.oneof(
      fc.nat(0xffff_ffff),
      fc.constantFrom(...[7, 14, 21, 28, 31].flatMap((bit) => [2 ** bit - 1, 2 ** bit])),
    );
    fc.assert(
      fc.property(value, fc.nat(8), (number, at) => {
        const b = new Uint8Array(16).fill(0xff);
        const behind = putVarint(b, at, number);
        assert.equal(behind, at + varintBytes(number));
        assert.equal(reader.read(b, at, behind), behind);
        assert.equal(reader.value, number);
        assert.equal(reader.read(b, at, behind - 1), -1);
        assert.equal(b[behind], 0xff);
      }),
    );
  });

  it("may be longer than it must, but no longer than five bytes, and no more than a u32", () => {
    assert.equal(read([0x83, 0x80, 0x80, 0x80, 0x00]), 5);
    assert.equal(reader.value, 3);
    assert.equal(read([0x80, 0x80, 0x80, 0x80, 0x10]), -1);
    assert.equal(read([0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), -1);
    assert.equal(read([0x80, 0x80]), -1);
    assert.equal(read([]), -1);
  });
});
