/**
 * Goal: the properties that make the digest a proof: the order of distinct pages and replaced versions do not matter,
 * any single difference does, and the total is the plain sum modulo 2^64.
 * Method: random histories of page versions; the same history in other orders, reduced to its newest versions, with
 * one thing changed, and summed in BigInt.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addMixed, Part } from "../../src/pages/mix.ts";
import { PageDigest, sameTotal } from "../../src/pages/mod.ts";

type Kind = "plain" | "zero" | "encoded";
interface Version {
  readonly block: number;
  readonly page: number;
  readonly kind: Kind;
  readonly lo: number;
  readonly hi: number;
}

/** The image alone: added to nothing. */
function mix(out: Int32Array, lo: number, hi: number, keyA: number, keyB: number): void {
  out.fill(0);
  addMixed(out, lo | 0, hi | 0, keyA | 0, keyB | 0, Part.add);
}

const PAGES = 12;
const ZERO = { lo: 0x2d06800d, hi: 0xf1e2d3c4 };
const BLOCKS = [0, 1, 2].map((index) => ({ index, name: `ram${index}`, bytes: PAGES * 4096 }));

/** All of u32, with its ends more often than chance would have them. */
const u32 = fc.oneof(fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat(0xffffffff));
const version = (...kinds: readonly Kind[]): fc.Arbitrary<Version> =>
  fc.record({
    block: fc.nat(BLOCKS.length - 1),
    page: fc.nat(PAGES - 1),
    kind: fc.constantFrom(...kinds),
    lo: u32,
    hi: u32,
  });
const history = fc.array(version("plain", "zero", "encoded"), { maxLength: 60 });
const wholeHistory = fc.array(version("plain", "zero"), { minLength: 1, maxLength: 60 });

function digestOf(versions: readonly Version[]): PageDigest {
  const digest = new PageDigest(ZERO);
  digest.setBlocks(BLOCKS);
  for (const { block, page, kind, lo, hi } of versions) {
    if (kind === "plain") digest.update(block, page, lo, hi);
    else if (kind === "zero") digest.updateZero(block, page);
    else digest.updateEncoded(block, page, lo, hi);
  }
  return digest;
}

const place = (v: Version): number => v.block * PAGES + v.page;

/** Each page's newest version, in some order. */
const newest = (versions: readonly Version[]): Version[] => [
  ...new Map(versions.map((v) => [place(v), v])).values(),
];

/** The hash that a version without history stands for. */
const contentOf = (v: Version): string =>
  v.kind === "zero" ? `${ZERO.lo},${ZERO.hi}` : v.lo === 0 && v.hi === 0 ? "1,0" : `${v.lo},${v.hi}`;

describe("page digest, properties", () => {
  it("does not see the order of distinct pages, encoded ones included", () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.nat(1000)), (versions, weights) => {
        // Pages change places as a whole; within one page the order stays.
        const weightOf = new Map<number, number>();
        for (const v of versions)
          if (!weightOf.has(place(v))) weightOf.set(place(v), weights.next().value as number);
        const reordered = versions.toSorted((a, b) => weightOf.get(place(a))! - weightOf.get(place(b))!);
        assert.deepEqual(digestOf(reordered).total(), digestOf(versions).total());
      }),
    );
  });

  it("does not see replaced versions", () => {
    fc.assert(
      fc.property(wholeHistory, (versions) => {
        const reduced = newest(versions);
        const total = digestOf(versions).total();
        assert.ok(sameTotal(total, digestOf(reduced).total()));
        assert.equal(total.pages, reduced.length);
        assert.equal(total.versions, versions.length);
      }),
    );
  });

  it("sees any single page that differs, lacks or is elsewhere", () => {
    fc.assert(
      fc.property(wholeHistory, version("plain", "zero"), fc.nat(), (versions, other, pick) => {
        const reduced = newest(versions);
        const at = pick % reduced.length;
        const total = digestOf(reduced).total();
        const victim = reduced[at]!;
        assert.ok(!sameTotal(total, digestOf(reduced.toSpliced(at, 1)).total()), "lacks");
        const changed = { ...other, block: victim.block, page: victim.page };
        if (contentOf(changed) !== contentOf(victim)) {
          const differs = digestOf(reduced.with(at, changed)).total();
          assert.ok(differs.lo !== total.lo || differs.hi !== total.hi, "differs");
        }
        const moved = { ...victim, block: other.block, page: other.page };
        if (!reduced.some((v) => place(v) === place(moved))) {
          const elsewhere = digestOf(reduced.with(at, moved)).total();
          assert.ok(elsewhere.lo !== total.lo || elsewhere.hi !== total.hi, "elsewhere");
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("sees two pages whose contents changed places", () => {
    fc.assert(
      fc.property(version("plain"), version("plain"), (a, b) => {
        fc.pre(place(a) !== place(b) && contentOf(a) !== contentOf(b));
        const swapped = [
          { ...a, lo: b.lo, hi: b.hi },
          { ...b, lo: a.lo, hi: a.hi },
        ];
        assert.ok(!sameTotal(digestOf([a, b]).total(), digestOf(swapped).total()));
      }),
      { numRuns: 1000 },
    );
  });

  it("is the sum modulo 2^64 of the mixed hashes", () => {
    fc.assert(
      fc.property(fc.array(version("plain"), { maxLength: 40 }), (versions) => {
        const out = new Int32Array(2);
        let sum = 0n;
        for (const v of newest(versions)) {
          mix(out, v.lo === 0 && v.hi === 0 ? 1 : v.lo, v.hi, v.page, v.block);
          sum += (BigInt(out[1]! >>> 0) << 32n) | BigInt(out[0]! >>> 0);
        }
        const { lo, hi } = digestOf(versions).total();
        assert.equal((BigInt(hi) << 32n) | BigInt(lo), BigInt.asUintN(64, sum));
      }),
    );
  });

  it("mixes one to one: for the same keys, different values stay different", () => {
    fc.assert(
      fc.property(u32, u32, u32, u32, fc.nat(63), (lo, hi, keyA, keyB, bit) => {
        const [one, other] = [new Int32Array(2), new Int32Array(2)];
        mix(one, lo, hi, keyA, keyB);
        mix(
          other,
          bit < 32 ? (lo ^ (1 << bit)) >>> 0 : lo,
          bit < 32 ? hi : (hi ^ (1 << (bit - 32))) >>> 0,
          keyA,
          keyB,
        );
        assert.notDeepEqual(one, other);
      }),
    );
  });

  it("spreads: one bit of a hash or of its place moves about half of the total's bits", () => {
    const [one, other] = [new Int32Array(2), new Int32Array(2)];
    const bits = (x: number): number => {
      let count = 0;
      for (let rest = x >>> 0; rest !== 0; rest &= rest - 1) count++;
      return count;
    };
    for (let argument = 0; argument < 4; argument++) {
      for (let bit = 0; bit < 32; bit++) {
        let moved = 0;
        const samples = 200;
        for (let i = 0; i < samples; i++) {
          const values = [i * 7, Math.imul(i, 0x9e3779b1) >>> 0, i, 0] as [number, number, number, number];
          mix(one, ...values);
          values[argument] = (values[argument]! ^ (1 << bit)) >>> 0;
          mix(other, ...values);
          moved += bits(one[0]! ^ other[0]!) + bits(one[1]! ^ other[1]!);
        }
        const mean = moved / samples;
        assert.ok(mean > 28 && mean < 36, `argument ${argument}, bit ${bit}: ${mean} of 64 bits`);
      }
    }
  });
});
