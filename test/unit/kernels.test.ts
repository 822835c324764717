/**
 * Goal: the page hash is exactly the published XXH3 at every kind of length, seed and alignment, and the loader and
 * the build say what they must.
 * Method: the kernel against an independent implementation (hash-wasm) and against our own slow twin.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { xxhash3 } from "hash-wasm";
import { buildKernels } from "../../kernels/build.ts";
import { BATCH_PAGES_MAX, loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { xxh3Twin } from "../../kernels/twin/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";

const SEEDS = [
  [0, 0],
  [1, 0],
  [0xffffffff, 0xffffffff],
  [0x89abcdef, 0x01234567],
] as const;
const LENGTHS = [
  ...Array.from({ length: 301 }, (_, n) => n),
  ...[
    1023, 1024, 1025, 1087, 1088, 1089, 2047, 2048, 2049, 4032, 4095, 4096, 4097, 5120, 5121, 131_071,
    131_072,
  ],
];

/** Bytes that are the same in each run and show no pattern to the hash. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 24;
  });
}

const hex = (low: number, high: number): string =>
  ((BigInt(high) << 32n) | BigInt(low)).toString(16).padStart(16, "0");

function hashAt(kernels: PageKernels, address: number, bytes: Uint8Array): string {
  kernels.bytes.set(bytes, address);
  kernels.hashRange(address, bytes.length);
  return hex(kernels.hashes[0]!, kernels.hashes[1]!);
}

describe("page hash", () => {
  let kernels: PageKernels;
  const data = noise(131_072, 7);
  before(async () => {
    await buildKernels();
    kernels = loadKernels({ memoryBytes: 4 * 2 ** 20 });
  });

  for (const [low, high] of SEEDS) {
    it(`equals XXH3 at all lengths, seed ${hex(low, high)}`, async () => {
      kernels.seed(low, high);
      for (const length of LENGTHS) {
        const bytes = data.subarray(0, length);
        assert.equal(
          hashAt(kernels, kernels.freeStart + 3, bytes),
          await xxhash3(bytes, low, high),
          `${length}`,
        );
      }
    });
  }

  it("equals the slow twin", () => {
    const [low, high] = SEEDS[3];
    kernels.seed(low, high);
    for (const length of LENGTHS.filter((n) => n <= 5121)) {
      const bytes = data.subarray(1, 1 + length);
      const twin = xxh3Twin(bytes, (BigInt(high) << 32n) | BigInt(low));
      assert.equal(
        hashAt(kernels, kernels.freeStart, bytes),
        twin.toString(16).padStart(16, "0"),
        `${length}`,
      );
    }
  });

  it("hashes a full batch of pages in any order and alignment", async () => {
    const [low, high] = SEEDS[3];
    kernels.seed(low, high);
    const pages = noise((BATCH_PAGES_MAX + 1) * PAGE_BYTES, 99);
    kernels.bytes.set(pages, kernels.freeStart);
    const starts = Array.from(
      { length: BATCH_PAGES_MAX },
      (_, i) => ((i * 97) % BATCH_PAGES_MAX) * PAGE_BYTES + i,
    );
    for (const [i, start] of starts.entries()) kernels.addresses[i] = kernels.freeStart + start;
    kernels.hashPages(BATCH_PAGES_MAX);
    for (const [i, start] of starts.entries()) {
      const expected = await xxhash3(pages.subarray(start, start + PAGE_BYTES), low, high);
      assert.equal(hex(kernels.hashes[2 * i]!, kernels.hashes[2 * i + 1]!), expected, `page ${i}`);
    }
  });

  it("writes no result beyond the count", () => {
    kernels.hashes.fill(0x5a5a5a5a);
    kernels.addresses[0] = kernels.freeStart;
    kernels.hashPages(1);
    assert.notEqual(kernels.hashes[0], 0x5a5a5a5a);
    assert.ok(kernels.hashes.subarray(2).every((half) => half === 0x5a5a5a5a));
    kernels.hashes.fill(0x5a5a5a5a);
    kernels.hashPages(0);
    assert.ok(kernels.hashes.every((half) => half === 0x5a5a5a5a));
  });

  it("traps at a page outside the memory and at too large a batch", () => {
    kernels.addresses[0] = kernels.bytes.length - PAGE_BYTES + 1;
    assert.throws(() => kernels.hashPages(1), WebAssembly.RuntimeError);
    assert.throws(() => kernels.hashPages(BATCH_PAGES_MAX + 1), WebAssembly.RuntimeError);
    assert.throws(() => kernels.hashRange(kernels.bytes.length - 300, 301), WebAssembly.RuntimeError);
  });

  it("keeps a page of zeros, and its scratch, below the caller's memory", () => {
    const { zeroPage, freeStart, bytes, addresses, hashes } = kernels;
    assert.ok(bytes.subarray(zeroPage, zeroPage + PAGE_BYTES).every((byte) => byte === 0));
    for (const [start, length] of [
      [zeroPage, PAGE_BYTES],
      [addresses.byteOffset, addresses.byteLength],
      [hashes.byteOffset, hashes.byteLength],
    ] as const) {
      assert.ok(start > 0 && start + length <= freeStart);
    }
  });
});

describe("loader and build", () => {
  it("names the way out when the kernels were never compiled", () => {
    assert.throws(
      () => loadKernels({ memoryBytes: 2 ** 20, file: "/nowhere/kernels.wasm" }),
      (error) =>
        isGodwitError(error) && error.code === "KERNELS_MISSING" && /npm run setup/.test(error.wayOut),
    );
  });

  it("refuses a memory that is too small or too large", () => {
    for (const memoryBytes of [0, 65_536, 2 ** 31, Number.NaN]) {
      assert.throws(() => loadKernels({ memoryBytes }), RangeError);
    }
  });

  it("gives each instance its own memory and seed", () => {
    const one = loadKernels({ memoryBytes: 2 ** 20 });
    const other = loadKernels({ memoryBytes: 2 ** 20 });
    one.seed(5, 6);
    const bytes = noise(4096, 3);
    assert.notEqual(hashAt(one, one.freeStart, bytes), hashAt(other, other.freeStart, bytes));
    other.seed(5, 6);
    assert.equal(hashAt(one, one.freeStart, bytes), hashAt(other, other.freeStart, bytes));
  });

  it("does not compile again when nothing has changed", async () => {
    await buildKernels();
    assert.equal(await buildKernels(), false);
  });
});
