/** Pages for property tests that resemble what guests hold, and pairs of versions of one page. */
import fc from "fast-check";
import { PAGE_BYTES } from "../../kernels/mod.ts";

type Page = Uint8Array<ArrayBuffer>;

const WORDS = PAGE_BYTES / 4;
const seed = fc.nat(0xffffffff);

/** A generator of u32 that is the same for the same seed. */
function noise(state: number): () => number {
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
}

function pageOfWords(word: (i: number) => number): Page {
  return new Uint8Array(Uint32Array.from({ length: WORDS }, (_, i) => word(i)).buffer);
}

const constant = fc
  .oneof(fc.constant(0), fc.constant(0xffffffff), seed)
  .map((word) => pageOfWords(() => word));

const random = seed.map((start) => pageOfWords(noise(start)));

/** Zeros but for some words, most of them small. */
const sparse = fc
  .array(fc.tuple(fc.nat(WORDS - 1), fc.oneof(fc.nat(255), fc.nat(70_000), seed)), { maxLength: 200 })
  .map((words) => {
    const page = new Uint32Array(WORDS);
    for (const [at, word] of words) page[at] = word;
    return new Uint8Array(page.buffer);
  });

/** Addresses within few areas, counters and zeros: what WKdm is for. */
const pointers = fc
  .tuple(seed, fc.array(seed, { minLength: 1, maxLength: 24 }), fc.nat(100))
  .map(([start, areas, zeroPercent]) => {
    const next = noise(start);
    return pageOfWords(() => {
      if (next() % 100 < zeroPercent) return 0;
      const area = areas[next() % areas.length]!;
      return next() % 4 === 0 ? area : (area & ~1023) | (next() & 1023);
    });
  });

const text = seed.map((start) => {
  const next = noise(start);
  const letters = "eeetttaaooiinnsshhrrdlcumwfgypbvk     \n";
  return Uint8Array.from({ length: PAGE_BYTES }, () => letters.charCodeAt(next() % letters.length));
});

export const arbitraryPage: fc.Arbitrary<Page> = fc.oneof(constant, random, sparse, pointers, text);

/** (unchanged bytes, changed bytes), over and over: each length of gap and run that a format may treat in its own way. */
const stretches = fc.array(
  fc.tuple(
    fc.oneof(fc.nat(9), fc.nat(300), fc.nat(PAGE_BYTES)),
    fc.oneof(fc.nat(18), fc.nat(160), fc.nat(PAGE_BYTES)),
  ),
  { minLength: 1, maxLength: 300 },
);

function changedIn(base: Page, lengths: readonly (readonly [number, number])[]): Page {
  const page = Uint8Array.from(base);
  let at = 0;
  for (const [gap, changed] of lengths) {
    at += gap;
    for (const end = Math.min(PAGE_BYTES, at + changed); at < end; at++) page[at]! ^= 0x5a;
  }
  return page;
}

/** A base and a later version: the same, unlike, changed in stretches, in few words, at both ends. */
export const arbitraryVersions: fc.Arbitrary<readonly [base: Page, page: Page]> = fc.oneof(
  arbitraryPage.map((page) => [page, Uint8Array.from(page)] as const),
  fc.tuple(arbitraryPage, arbitraryPage),
  fc.tuple(arbitraryPage, stretches).map(([base, lengths]) => [base, changedIn(base, lengths)] as const),
  fc
    .tuple(arbitraryPage, fc.array(fc.tuple(fc.nat(WORDS - 1), seed), { maxLength: 12 }))
    .map(([base, words]) => {
      const page = Uint8Array.from(base);
      for (const [at, word] of words) new DataView(page.buffer).setUint32(4 * at, word, true);
      return [base, page] as const;
    }),
  fc.tuple(arbitraryPage, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 })).map(
    ([base, first, last]) =>
      [
        base,
        changedIn(base, [
          [0, first],
          [PAGE_BYTES - first - last, last],
        ]),
      ] as const,
  ),
);
