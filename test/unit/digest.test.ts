/**
 * Goal: what the page digest and the hasher promise about single calls: zero pages, encoded bodies, batches, limits.
 * Method: real kernels over pages in their memory, compared with digests fed by hand with hashes of an independent
 * implementation.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { xxhash3 } from "hash-wasm";
import { buildKernels } from "../../kernels/build.ts";
import { BATCH_PAGES_MAX, loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import {
  type Hash64,
  PageDigest,
  PageHasher,
  sameTotal,
  totalText,
  zeroPageHash,
} from "../../src/pages/mod.ts";
import type { RamBlock } from "../../src/stream/mod.ts";

const SEED = [0x1234, 0x9abcdef0] as const;
/** The second block is larger than 4 GiB: offsets beyond 32 bits. */
const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "pc.ram", bytes: 1024 * PAGE_BYTES },
  { index: 1, name: "far.ram", bytes: 2 ** 32 + 16 * PAGE_BYTES },
];
const [RAM, FAR] = BLOCKS as [RamBlock, RamBlock];
const ZERO: Hash64 = { lo: 17, hi: 4 };

function digestOf(zero: Hash64 = ZERO): PageDigest {
  const digest = new PageDigest(zero);
  digest.setBlocks(BLOCKS);
  return digest;
}

async function hashOf(bytes: Uint8Array): Promise<Hash64> {
  const value = BigInt(`0x${await xxhash3(bytes, ...SEED)}`);
  return { lo: Number(value & 0xffffffffn), hi: Number(value >> 32n) };
}

describe("page digest", () => {
  it("begins empty: no page contributes before it was seen", () => {
    assert.deepEqual(digestOf().total(), { lo: 0, hi: 0, pages: 0, versions: 0 });
  });

  it("takes a version back exactly when it is replaced", () => {
    const digest = digestOf();
    digest.update(0, 3, 0xffffffff, 0xffffffff);
    const first = digest.total();
    digest.update(0, 3, 1, 2);
    assert.ok(!sameTotal(first, digest.total()));
    digest.update(0, 3, 0xffffffff, 0xffffffff);
    assert.deepEqual(digest.total(), { ...first, versions: 3 });
    assert.ok(sameTotal(first, digest.total()));
  });

  it("forgets a version that is taken back, also the first of its page", () => {
    for (const before of [undefined, { lo: 5, hi: 0 }, { lo: 0, hi: 0 }]) {
      const digest = digestOf();
      digest.update(1, 7, 8, 9);
      if (before !== undefined) digest.update(0, 3, before.lo, before.hi);
      const total = digest.total();
      digest.update(0, 3, 0xffffffff, 0xffffffff);
      const { oldLo, oldHi } = digest;
      digest.update(1, 7, 8, 9);
      digest.restore(0, 3, oldLo, oldHi);
      assert.deepEqual(digest.total(), { ...total, versions: total.versions + 1 });
      digest.update(0, 3, 1, 1);
      assert.equal(digest.total().pages, 2, "it counts again");
    }
  });

  it("counts a page whose hash is 0 like any other", () => {
    const digest = digestOf();
    digest.update(0, 0, 0, 0);
    assert.equal(digest.total().pages, 1);
    digest.update(0, 0, 0, 0);
    assert.equal(digest.total().pages, 1);
    assert.notEqual(totalText(digest.total()), totalText(digestOf().total()));
  });

  it("tells a page from the same content elsewhere", () => {
    const places = [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
      [1, 2 ** 20],
    ] as const;
    const texts = places.map(([block, page]) => {
      const digest = digestOf();
      digest.updateZero(block, page);
      return totalText(digest.total());
    });
    assert.equal(new Set(texts).size, places.length);
  });

  it("chains encoded bodies: base and order of the deltas matter, what was before the base does not", () => {
    const run = (...steps: readonly ((digest: PageDigest) => void)[]): string => {
      const digest = digestOf();
      for (const step of steps) step(digest);
      return totalText(digest.total());
    };
    const base = (hash: number) => (digest: PageDigest) => digest.update(0, 1, hash, 1);
    const delta = (hash: number) => (digest: PageDigest) => digest.updateEncoded(0, 1, hash, 2);
    assert.notEqual(run(base(1), delta(5)), run(base(2), delta(5)));
    assert.notEqual(run(base(1), delta(5), delta(6)), run(base(1), delta(6), delta(5)));
    assert.notEqual(run(base(1), delta(5)), run(base(1)));
    assert.notEqual(
      run(delta(5)),
      run((digest) => digest.update(0, 1, 5, 2)),
    );
    assert.equal(run(base(9), delta(7), base(1), delta(5)), run(base(1), delta(5)));
  });

  it("throws at a place outside the blocks, and at blocks set twice, out of order or too large", () => {
    const digest = digestOf();
    assert.throws(() => digest.update(0, 1024, 1, 1), RangeError);
    assert.throws(() => digest.update(2, 0, 1, 1), RangeError);
    assert.throws(() => digest.update(0, -1, 1, 1), RangeError);
    assert.throws(() => digest.updateEncoded(2, 0, 1, 1), RangeError);
    assert.throws(() => digest.setBlocks(BLOCKS));
    assert.throws(() => new PageDigest(ZERO).setBlocks([FAR]));
    assert.throws(() => new PageDigest(ZERO).setBlocks([{ ...RAM, bytes: 2 ** 42 }]), RangeError);
    assert.deepEqual(digest.total(), { lo: 0, hi: 0, pages: 0, versions: 0 });
  });

  it("compares sum and pages, and writes the sum in sixteen digits", () => {
    assert.ok(sameTotal({ lo: 1, hi: 2, pages: 3 }, { lo: 1, hi: 2, pages: 3 }));
    for (const other of [
      { lo: 0, hi: 2, pages: 3 },
      { lo: 1, hi: 0, pages: 3 },
      { lo: 1, hi: 2, pages: 4 },
    ]) {
      assert.ok(!sameTotal({ lo: 1, hi: 2, pages: 3 }, other));
    }
    assert.equal(totalText({ lo: 0xb, hi: 0xa0000000 }), "a00000000000000b");
  });
});

describe("page hasher", () => {
  let kernels: PageKernels;
  before(async () => {
    await buildKernels();
    kernels = loadKernels({ memoryBytes: 4 * 2 ** 20 });
    kernels.seed(...SEED);
  });

  /** Puts a page of one byte at a place in the arena; tells its address and its bytes. */
  function put(place: number, fill: number): { address: number; bytes: Uint8Array } {
    const address = kernels.freeStart + place * PAGE_BYTES;
    const bytes = new Uint8Array(PAGE_BYTES).fill(fill);
    kernels.bytes.set(bytes, address);
    return { address, bytes };
  }

  it("gives zero records and pages of zero bytes the same digest", async () => {
    const zero = zeroPageHash(kernels);
    assert.deepEqual(zero, await hashOf(new Uint8Array(PAGE_BYTES)));
    const [byRecord, byBytes] = [digestOf(zero), digestOf(zero)];
    const [recordHasher, bytesHasher] = [new PageHasher(kernels, byRecord), new PageHasher(kernels, byBytes)];
    recordHasher.zero(RAM, 5 * PAGE_BYTES);
    recordHasher.flush();
    bytesHasher.page(RAM, 5 * PAGE_BYTES, put(0, 0).address);
    bytesHasher.flush();
    assert.deepEqual(byRecord.total(), byBytes.total());
  });

  it("keeps the order told within a batch: the last version of a page wins, whatever its kind", async () => {
    const digest = digestOf();
    const hasher = new PageHasher(kernels, digest);
    const [a, b, c] = [put(0, 1), put(1, 2), put(2, 3)];
    hasher.page(RAM, 0, a.address);
    hasher.zero(RAM, 0);
    hasher.page(RAM, 0, b.address);
    hasher.page(RAM, PAGE_BYTES, c.address);
    hasher.zero(RAM, PAGE_BYTES);
    hasher.flush();
    const expected = digestOf();
    const { lo, hi } = await hashOf(b.bytes);
    expected.update(0, 0, lo, hi);
    expected.updateZero(0, 1);
    assert.ok(sameTotal(digest.total(), expected.total()));
    assert.deepEqual([digest.total().pages, digest.total().versions], [2, 5]);
  });

  it("settles what waits before an encoded body, and chains it with the real hash", async () => {
    const digest = digestOf();
    const hasher = new PageHasher(kernels, digest);
    const base = put(0, 9);
    const body = put(1, 77);
    hasher.page(RAM, 0, base.address);
    hasher.encoded(RAM, 0, body.address + 1, 33);
    hasher.flush();
    const expected = digestOf();
    const [page, delta] = [await hashOf(base.bytes), await hashOf(body.bytes.subarray(0, 33))];
    expected.update(0, 0, page.lo, page.hi);
    expected.updateEncoded(0, 0, delta.lo, delta.hi);
    assert.deepEqual(digest.total(), expected.total());
  });

  it("flushes by itself when the batch is full, and reaches offsets beyond 4 GiB", async () => {
    const digest = digestOf();
    const hasher = new PageHasher(kernels, digest);
    const expected = digestOf();
    for (let i = 0; i < BATCH_PAGES_MAX; i++) {
      const { address, bytes } = put(i, i);
      const { lo, hi } = await hashOf(bytes);
      const far = i % 2 === 1;
      assert.equal(digest.total().versions, 0, "nothing before the batch is full");
      hasher.page(far ? FAR : RAM, far ? 2 ** 32 + (i >> 4) * PAGE_BYTES : i * PAGE_BYTES, address);
      expected.update(far ? 1 : 0, far ? 2 ** 20 + (i >> 4) : i, lo, hi);
    }
    assert.deepEqual(digest.total(), expected.total());
    hasher.flush();
    assert.deepEqual(digest.total(), expected.total(), "an empty flush changes nothing");
  });

  it("counts nothing of a batch that trapped, and goes on after it", () => {
    const digest = digestOf();
    const hasher = new PageHasher(kernels, digest);
    hasher.page(RAM, 0, kernels.bytes.length);
    assert.throws(() => hasher.flush(), WebAssembly.RuntimeError);
    hasher.flush();
    assert.equal(digest.total().versions, 0);
    hasher.page(RAM, 0, put(0, 1).address);
    hasher.flush();
    assert.equal(digest.total().versions, 1);
  });
});
