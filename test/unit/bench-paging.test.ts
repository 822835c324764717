/**
 * Goal: the simulation of push orders still runs, and the order that it chose is still the one that `auto` is.
 * Method: the command as users have it, with one seed: it knows no clock, so its figures are the same everywhere.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const MAIN = join(import.meta.dirname, "../../bench/paging/main.ts");

/** All but `demand`, which takes the longest. */
const ORDERS = ["auto", "linear", "forward", "bubble", "bubbles"];

interface Row {
  readonly guest: string;
  readonly order: string;
  readonly faultsOfSet: number;
  readonly stallMs: number;
  readonly totalMs: number;
}

test("the simulation of push orders gives each guest's figures, and auto waits least", () => {
  const args = ["--seeds", "1", "--orders", ORDERS.join(","), "--json"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const rows = JSON.parse(stdout) as Row[];
  const of = (order: string) => rows.filter((row) => row.order === order);
  const stall = (order: string) =>
    of(order).reduce((sum, row) => sum + Math.log(row.stallMs + 10), 0) / of(order).length;
  for (const order of ORDERS) {
    assert.equal(of(order).length, 14, order);
    for (const row of of(order)) {
      assert.ok(row.faultsOfSet >= 0 && row.faultsOfSet <= 1 && row.stallMs > 0, JSON.stringify(row));
      // 65 536 pages at 30 000 a second, and half a round trip.
      assert.ok(Math.abs(row.totalMs - 2185) < 1, JSON.stringify(row));
    }
    if (order !== "auto") assert.ok(stall("auto") < stall(order), order);
  }
  const of1 = (order: string, guest: string) => of(order).find((row) => row.guest === guest)!;
  assert.ok(of1("auto", "sequential").faultsOfSet < 0.001);
  assert.ok(of1("auto", "sequential, downwards").faultsOfSet < 0.05);
  assert.ok(of1("linear", "sequential").faultsOfSet > 0.05);
});
