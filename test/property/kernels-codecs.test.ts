/**
 * Goal: every encoding gives back the page for any page and base, and no body, however broken, makes a decoder touch a
 * byte that is not its own or write a part of a page.
 * Method: the kernels against their slow twins over pages that resemble real ones, over damaged and random bodies; the
 * whole memory of the caller is compared before and after; arguments also stand at the very end of the memory, where a
 * byte read too much traps.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { buildKernels } from "../../kernels/build.ts";
import {
  DELTA_BYTES_MAX,
  kernelRule,
  loadKernels,
  PAGE_BYTES,
  type PageKernels,
  SPARSE_BYTES_MAX,
  WKDM_BYTES_MAX,
} from "../../kernels/mod.ts";
import {
  comparePagesTwin,
  countZeroBytesTwin,
  deltaDecodeTwin,
  deltaEncodeTwin,
  sparseDecodeTwin,
  sparseEncodeTwin,
  wkdmDecodeTwin,
  wkdmEncodeTwin,
} from "../../kernels/twin/mod.ts";
import { arbitraryPage, arbitraryVersions } from "../tools/arbitrary-page.ts";

interface Codec {
  readonly name: string;
  readonly bytesMax: number;
  encode(k: PageKernels, base: number, page: number, out: number, outMax: number): number;
  decode(k: PageKernels, body: number, bytes: number, base: number, page: number): number;
  encodeTwin(base: Uint8Array, page: Uint8Array, outMax: number): Uint8Array | undefined;
  decodeTwin(body: Uint8Array, base: Uint8Array): Uint8Array | number;
}

const CODECS: readonly Codec[] = [
  {
    name: "delta",
    bytesMax: DELTA_BYTES_MAX,
    encode: (k, base, page, out, outMax) => k.deltaEncode(base, page, out, outMax),
    decode: (k, body, bytes, base, page) => k.deltaDecode(body, bytes, base, page),
    encodeTwin: deltaEncodeTwin,
    decodeTwin: deltaDecodeTwin,
  },
  {
    name: "sparse",
    bytesMax: SPARSE_BYTES_MAX,
    encode: (k, _base, page, out, outMax) => k.sparseEncode(page, out, outMax),
    decode: (k, body, bytes, _base, page) => k.sparseDecode(body, bytes, page),
    encodeTwin: (_base, page, outMax) => sparseEncodeTwin(page, outMax),
    decodeTwin: (body) => sparseDecodeTwin(body),
  },
  {
    name: "WKdm",
    bytesMax: WKDM_BYTES_MAX,
    encode: (k, _base, page, out, outMax) => k.wkdmEncode(page, out, outMax),
    decode: (k, body, bytes, _base, page) => k.wkdmDecode(body, bytes, page),
    encodeTwin: (_base, page, outMax) => wkdmEncodeTwin(page, outMax),
    decodeTwin: (body) => wkdmDecodeTwin(body),
  },
];

let kernels: PageKernels;
/** The caller's part of the memory; everything in it that no kernel may write is compared. */
let arena: Uint8Array;

before(async () => {
  await buildKernels();
  kernels = loadKernels({ memoryBytes: 128 * 1024 });
  arena = kernels.bytes.subarray(kernels.freeStart);
});

/** Odd places, so that nothing can lean on alignment. */
const BASE = 101;
const PAGE = BASE + PAGE_BYTES + 50;
const OUT = PAGE + PAGE_BYTES + 51;

/** Fills the arena with canaries, puts things into it, runs, and returns which bytes changed outside `allowed`. */
function strays(
  around: number,
  things: readonly (readonly [at: number, bytes: Uint8Array])[],
  allowed: readonly [at: number, bytes: number],
  run: () => void,
): number[] {
  arena.fill(around);
  for (const [at, bytes] of things) arena.set(bytes, at);
  const expected = Uint8Array.from(arena);
  run();
  expected.set(arena.subarray(allowed[0], allowed[0] + allowed[1]), allowed[0]);
  return Buffer.compare(expected, arena) === 0
    ? []
    : [...arena.keys()].filter((i) => expected[i] !== arena[i]);
}

/** The body, undefined when it does not fit. Nothing else was written. */
function encoded(codec: Codec, base: Uint8Array, page: Uint8Array, outMax: number, pageAt = PAGE) {
  const at = kernels.freeStart;
  let length = 0;
  const wrong = strays(
    0xc5,
    [
      [BASE, base],
      [pageAt, page],
    ],
    [OUT, outMax],
    () => {
      length = codec.encode(kernels, at + BASE, at + pageAt, at + OUT, outMax);
    },
  );
  assert.deepEqual(wrong, [], "written outside out");
  return length === 0 ? undefined : Uint8Array.from(arena.subarray(OUT, OUT + length));
}

/** The page, or the rule. Nothing else was written; with a rule nothing at all. */
function decoded(codec: Codec, body: Uint8Array, base: Uint8Array, around: number, pageAt = PAGE) {
  const at = kernels.freeStart;
  // At the end of the memory: a byte read behind the body would trap.
  const bodyAt = arena.length - body.length;
  let rule = 0;
  const run = (): void => {
    rule = codec.decode(kernels, at + bodyAt, body.length, at + BASE, at + pageAt);
  };
  const wrong = strays(
    around,
    [
      [BASE, base],
      [bodyAt, body],
    ],
    [pageAt, PAGE_BYTES],
    run,
  );
  assert.deepEqual(wrong, [], "written outside the page");
  if (rule === 0) return Uint8Array.from(arena.subarray(pageAt, pageAt + PAGE_BYTES));
  const before = pageAt === BASE ? base : new Uint8Array(PAGE_BYTES).fill(around);
  assert.deepEqual(
    Buffer.compare(arena.subarray(pageAt, pageAt + PAGE_BYTES), before),
    0,
    "a broken body wrote",
  );
  return rule;
}

/** What a decoder and its twin say of a body is the same, wherever it stands and whatever stands around. */
function sameAsTwin(codec: Codec, body: Uint8Array, base: Uint8Array): Uint8Array | number {
  const twin = codec.decodeTwin(body, base);
  for (const around of [0x00, 0xff]) assert.deepEqual(decoded(codec, body, base, around), twin);
  return twin;
}

/** A body with bytes changed, cut off, put in, or bits turned. */
const damage = fc.array(
  fc.record({ at: fc.nat(), kind: fc.constantFrom("set", "bit", "cut", "insert"), value: fc.nat(255) }),
  { minLength: 1, maxLength: 4 },
);

function damaged(body: Uint8Array, marks: readonly { at: number; kind: string; value: number }[]) {
  let bytes = Array.from(body);
  for (const { at, kind, value } of marks) {
    const place = at % (bytes.length + 1);
    if (kind === "cut") bytes = bytes.slice(0, place);
    else if (kind === "insert") bytes.splice(place, 0, value);
    else if (place < bytes.length) {
      bytes[place] = kind === "set" ? value : bytes[place]! ^ (1 << (value & 7));
    }
  }
  return Uint8Array.from(bytes);
}

for (const codec of CODECS) {
  describe(`${codec.name}, properties`, () => {
    it("encodes like its twin and gives the page back", () => {
      fc.assert(
        fc.property(arbitraryVersions, ([base, page]) => {
          const body = encoded(codec, base, page, codec.bytesMax);
          assert.ok(body !== undefined && body.length > 0);
          assert.deepEqual(body, codec.encodeTwin(base, page, codec.bytesMax));
          assert.deepEqual(decoded(codec, body, base, 0xa7), page);
          // Where the page was, too: a delta patches it in place, the others do not look at it.
          assert.deepEqual(decoded(codec, body, base, 0xa7, BASE), page);
        }),
      );
    });

    it("keeps to outMax, and reads no byte behind the page", () => {
      fc.assert(
        fc.property(arbitraryVersions, fc.nat(codec.bytesMax), ([base, page], some) => {
          const length = codec.encodeTwin(base, page, codec.bytesMax)!.length;
          const pageAt = arena.length - PAGE_BYTES;
          for (const outMax of [some, length, length - 1, 0]) {
            const body = encoded(codec, base, page, outMax, pageAt);
            assert.equal(
              body?.length,
              outMax >= length ? length : undefined,
              `outMax ${outMax} of ${length}`,
            );
          }
        }),
      );
    });

    it("names the rule that a damaged body breaks and writes nothing, or gives a page", () => {
      fc.assert(
        fc.property(arbitraryVersions, damage, ([base, page], marks) => {
          const body = damaged(codec.encodeTwin(base, page, codec.bytesMax)!, marks);
          const result = sameAsTwin(codec, body, base);
          if (typeof result === "number") assert.ok(kernelRule(result)?.startsWith(codec.name.toLowerCase()));
        }),
        { numRuns: 200 },
      );
    });

    it("survives random bodies", () => {
      const body = fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ minLength: 250, maxLength: 6000, size: "max" }),
      );
      fc.assert(fc.property(body, arbitraryPage, (bytes, base) => void sameAsTwin(codec, bytes, base)));
    });
  });
}

describe("WKdm, streams of the right length", () => {
  it("gives the page of its twin, or the rule of the padding", () => {
    const seen = new Set<number | "page">();
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 256, maxLength: 256 }),
        fc.uint8Array({ minLength: 4200, maxLength: 4200, size: "max" }),
        fc.nat(20),
        (tags, noise, repeats) => {
          // Repeated tags make streams of any length; bytes of any value fill them.
          const body = Uint8Array.from([
            ...tags.map((tag, i) => (i % 21 < repeats ? tags[0]! : tag)),
            ...noise,
          ]);
          const bit = (at: number): number => (body[at >> 3]! >> (at & 7)) & 1;
          const words = Array.from({ length: 1024 }, (_, i) => bit(i) + 2 * bit(1024 + i));
          const count = (wanted: number): number => words.filter((tag) => tag === wanted).length;
          const [exact, partial, miss] = [count(1), count(2), count(3)];
          const length = 256 + 4 * miss + Math.ceil((10 * partial) / 8) + Math.ceil((exact + partial) / 2);
          const result = sameAsTwin(CODECS[2]!, body.subarray(0, length), new Uint8Array(PAGE_BYTES));
          seen.add(typeof result === "number" ? result : "page");
        },
      ),
    );
    assert.equal(seen.size, 2, "pages and broken padding");
  });
});

describe("zero tests and compare, properties", () => {
  const at = (place: number): number => kernels.freeStart + place;

  it("count zero bytes and find pages of zeros", () => {
    const almost = fc.tuple(fc.nat(PAGE_BYTES - 1), fc.nat(255)).map(([place, byte]) => {
      const page = new Uint8Array(PAGE_BYTES);
      page[place] = byte;
      return page;
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(arbitraryPage, almost), { minLength: 1, maxLength: 6 }), (pages) => {
        arena.fill(0x11);
        // The last one ends with the memory.
        const places = pages.map((_, i) => arena.length - (i + 1) * (PAGE_BYTES + 1) + 1);
        for (const [i, page] of pages.entries()) {
          arena.set(page, places[i]!);
          kernels.addresses[i] = at(places[i]!);
        }
        kernels.zeroFlags.fill(0x77);
        kernels.zeroCounts.fill(0x77);
        kernels.zeroPages(pages.length);
        kernels.countZeroBytes(pages.length);
        const counts = pages.map(countZeroBytesTwin);
        const count = pages.length;
        assert.deepEqual(Array.from(kernels.zeroCounts.subarray(0, count)), counts);
        const flags = Array.from(kernels.zeroFlags.subarray(0, count));
        assert.deepEqual(
          flags,
          counts.map((zeros) => (zeros === PAGE_BYTES ? 1 : 0)),
        );
        assert.ok(kernels.zeroFlags.subarray(count).every((flag) => flag === 0x77));
        assert.ok(kernels.zeroCounts.subarray(count).every((zeros) => zeros === 0x77));
      }),
    );
  });

  it("find the first difference", () => {
    fc.assert(
      fc.property(arbitraryVersions, ([base, page]) => {
        arena.set(base, BASE);
        arena.set(page, arena.length - PAGE_BYTES);
        const first = kernels.comparePages(at(BASE), at(arena.length - PAGE_BYTES));
        assert.equal(first, comparePagesTwin(base, page));
      }),
    );
  });
});
