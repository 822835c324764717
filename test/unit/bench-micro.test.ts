/**
 * Goal: the micro benches still run, and measure something in each of their parts.
 * Method: the command as users have it, for a moment; how fast anything is does not matter here.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const MAIN = join(import.meta.dirname, "../../bench/micro/main.ts");
const bench = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });

test("each micro bench gives finite, positive figures", () => {
  const { status, stdout, stderr } = bench("--tiny", "--json");
  assert.equal(status, 0, stderr);
  const all = JSON.parse(stdout) as Record<string, Record<string, unknown>[]>;
  assert.deepEqual(
    Object.entries(all).map(([name, figures]) => [name, figures.length]),
    [
      ["kernels", 3],
      ["encodings", 30],
      ["engine", 13],
      ["stream", 5],
      ["link", 2],
    ],
  );
  for (const figure of Object.values(all).flat()) {
    for (const key of ["bytesPerSec", "bestBytesPerSec", "ofCopy"]) {
      const value = figure[key];
      assert.ok(
        typeof value === "number" && Number.isFinite(value) && value > 0,
        `${figure["name"]}: ${key} is ${value}`,
      );
    }
  }
});

test("an unknown micro bench is exit 2 and names the known ones", () => {
  const { status, stderr } = bench("--only", "disks");
  assert.equal(status, 2);
  assert.match(stderr, /kernels, encodings, engine, stream, link/);
});
