/**
 * Goal: only the RAM lengths that QEMU before 9.0 moves wrongly under TCG are changed (docs/adr/0005).
 * Method: the rule itself; that it is the right one, real guests show (test/qemu/guest.test.ts).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { losesWrites } from "../../src/qemu/mod.ts";
import { safeMemoryBytes } from "../../src/qemu/tcgMemory.ts";

const MIB = 2 ** 20;
const old = { accel: "tcg", qemuVersion: "7.2.22", memoryBytes: 512 * MIB } as const;

test("a multiple of 64 pages is harmful before 9.0 under TCG, and gets 8 KiB more", () => {
  assert.equal(losesWrites(old), true);
  assert.equal(safeMemoryBytes(old), 512 * MIB + 8192);
  assert.equal(losesWrites({ ...old, memoryBytes: 512 * MIB + 8192 }), false);
  assert.equal(losesWrites({ ...old, memoryBytes: 256 * 1024 }), true);
});

test("newer QEMU and KVM keep what was asked for", () => {
  for (const at of [
    { ...old, qemuVersion: "10.0.2" },
    { ...old, qemuVersion: "9.0.0" },
    { ...old, accel: "kvm" as const },
  ]) {
    assert.equal(losesWrites(at), false);
    assert.equal(safeMemoryBytes(at), 512 * MIB);
  }
});
