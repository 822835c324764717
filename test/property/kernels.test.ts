/**
 * Goal: the page hash is XXH3 for any bytes, place, length and seed, and does not depend on what lies around them.
 * Method: random cases against our own slow twin.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { buildKernels } from "../../kernels/build.ts";
import { loadKernels, type PageKernels } from "../../kernels/mod.ts";
import { xxh3Twin } from "../../kernels/twin/mod.ts";

const BYTES_MAX = 4500;
const u32 = fc.nat(0xffffffff);

describe("page hash, properties", () => {
  let kernels: PageKernels;
  before(async () => {
    await buildKernels();
    kernels = loadKernels({ memoryBytes: 2 ** 20 });
  });

  it("equals the slow twin", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: BYTES_MAX, size: "max" }),
    );
    fc.assert(
      fc.property(bytes, u32, u32, fc.nat(4096), fc.nat(255), (data, low, high, place, around) => {
        const address = kernels.freeStart + 16 + place;
        kernels.bytes.fill(around, kernels.freeStart, address + BYTES_MAX + 16);
        kernels.bytes.set(data, address);
        kernels.seed(low, high);
        kernels.hashRange(address, data.length);
        const hash = (BigInt(kernels.hashes[1]!) << 32n) | BigInt(kernels.hashes[0]!);
        assert.equal(hash, xxh3Twin(data, (BigInt(high) << 32n) | BigInt(low)));
      }),
    );
  });
});
