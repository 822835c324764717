/**
 * Goal: systems are found by name and alias, and what each sets suits the guest and the link.
 * Method: the data itself. Whether QEMU takes the settings is asked of real ones in test/qemu/bench-homes.test.ts.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEMS, systemNamed } from "../../bench/systems/mod.ts";
import { multifdChannels, xbzrleCacheBytes } from "../../bench/systems/recipes.ts";

const MIB = 2 ** 20;

describe("systems", () => {
  it("have names and aliases of their own, and are found by either", () => {
    const names = SYSTEMS.flatMap(({ name, alias }) => [name, ...(alias === undefined ? [] : [alias])]);
    assert.equal(new Set(names.map((name) => name.toLowerCase())).size, names.length);
    for (const system of SYSTEMS) assert.equal(systemNamed(system.name), system);
    assert.deepEqual(
      ["B0", "B1", "B2", "B3", "b4"].map((alias) => systemNamed(alias).name),
      ["stock-nozero", "stock", "stock-xbzrle", "stock-multifd-zstd", "stock-postcopy"],
    );
  });

  it("that do not exist are refused with those that do", () => {
    assert.throws(
      () => systemNamed("xen"),
      (error: Error & { code: string }) =>
        error.code === "BENCH_UNKNOWN" && SYSTEMS.every(({ name }) => error.message.includes(name)),
    );
  });

  it("of stock QEMU that order post-copy have the capability for it, and no others", () => {
    for (const system of SYSTEMS) {
      if (system.family !== "stock") continue;
      const { postcopy, capabilities } = system.recipe;
      assert.equal(postcopy !== "never", capabilities.includes("postcopy-ram"), system.name);
    }
  });
});

describe("settings", () => {
  it("give XBZRLE a cache of a power of two, from more than half of the guest's RAM up to all of it", () => {
    for (const mib of [128, 129, 160, 255, 256, 1000, 4096]) {
      const bytes = xbzrleCacheBytes(mib);
      assert.equal(Math.log2(bytes) % 1, 0);
      assert.ok(bytes > (mib * MIB) / 2 && bytes <= mib * MIB, `${mib} MiB: ${bytes}`);
    }
  });

  it("give multifd 2 to 4 channels", () => {
    assert.deepEqual([1, 2, 3, 4, 64].map(multifdChannels), [2, 2, 3, 4, 4]);
  });

  it("leave pages that the guest waits for a part of the link, where it has a rate", () => {
    const capped = systemNamed("stock-postcopy-capped");
    assert.ok(capped.family === "stock");
    const link = { bytesPerSec: 1_000_000, latencyMs: 0, jitterMs: 0 };
    const cap = (bytesPerSec: number | null) =>
      capped.recipe.parameters({ memoryMib: 128, link: { ...link, bytesPerSec } })["max-postcopy-bandwidth"];
    assert.equal(cap(1_000_000), 600_000);
    assert.equal(cap(null), 0);
  });
});
