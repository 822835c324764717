/**
 * Goal: what is said of results is what they hold: claims follow their rule, nothing that failed is lost, and the
 * command line compares files and refuses what are none.
 * Method: generated results with known differences; whole command lines as processes.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { markdownOf } from "../../bench/report/markdown.ts";
import { logTicks, spacedTicks } from "../../bench/report/plot.ts";
import { claimOf, standings } from "../../bench/report/standing.ts";
import { amount, digits } from "../../bench/report/units.ts";
import {
  type BenchResult,
  compareResults,
  comparisonText,
  type FigureName,
  readResult,
} from "../../src/bench/mod.ts";
import { imagined, imaginedCell, STOCK } from "../tools/benchResult.ts";

const GODWIT = { name: "godwit-precopy", about: "the relays", family: "godwit" } as const;
const TWO = [STOCK, GODWIT];
const CELL = imaginedCell("cell");

/** Two systems in one cell whose total times are these. */
function withTimes(stock: readonly number[], godwit: readonly number[]): BenchResult {
  const times = { [STOCK.name]: stock, [GODWIT.name]: godwit };
  const base = imagined({
    seed: 1,
    cells: [CELL],
    systems: TWO,
    repeats: Math.max(stock.length, godwit.length),
  });
  const samples = base.samples
    .filter(({ system, repeat }) => repeat < times[system]!.length)
    .map((sample) => {
      const totalTimeMs = times[sample.system]![sample.repeat]!;
      return Number.isNaN(totalTimeMs)
        ? { ...sample, outcome: "failed" as const, error: "cancelled" }
        : { ...sample, ledger: { ...sample.ledger, totalTimeMs } };
    });
  return { ...base, samples };
}

function claimed(result: BenchResult, figure: FigureName = "totalTimeMs") {
  return claimOf(standings(result, CELL.name), figure);
}

describe("claims of a report", () => {
  it("name a winner only where ranges are apart, by more than 5 %, on three samples each", () => {
    assert.equal(claimed(withTimes([10, 11, 12], [5, 6, 7])).winner, "godwit");
    assert.equal(claimed(withTimes([5, 6, 7], [10, 11, 12])).winner, "stock");
    assert.equal(claimed(withTimes([10, 11, 12], [5, 6, 10])).winner, "noise", "the ranges touch");
    assert.equal(claimed(withTimes([100, 101, 102], [97, 98, 99])).winner, "noise", "by 3 %");
    assert.equal(claimed(withTimes([10, 11], [5, 6])).winner, "few samples");
  });

  it("have a ratio with the range of the extremes", () => {
    const { ratio } = claimed(withTimes([10, 20, 40], [5, 10, 20]));
    assert.deepEqual(ratio, { median: 0.5, least: 5 / 40, most: 20 / 10 });
  });

  it("do not count a system that failed a move, and say who got through alone", () => {
    const lost = claimed(withTimes([10, Number.NaN, 12], [20, 21, 22]));
    assert.equal(lost.stock, null);
    assert.equal(lost.winner, "only godwit");
    assert.equal(claimed(withTimes([10, 11, 12], [Number.NaN, 5, 6])).winner, "only stock");
    assert.equal(claimed(withTimes([Number.NaN], [Number.NaN])).winner, "none");
    // A figure that nobody has is no failure of anybody.
    assert.equal(claimed(withTimes([10, 11, 12], [5, 6, 7]), "longestStallMs").winner, "none");
  });
});

describe("the Markdown of a report", () => {
  it("has every cell and system, where stock is better, what failed and what was skipped", () => {
    const text = markdownOf(withTimes([5, 6, 7], [10, 11, Number.NaN]));
    assert.match(text, /\| cell \| total time \| – \| [^|]*stock \| – \| only stock completed every move \|/);
    assert.match(text, /- godwit-precopy in cell, repeat 3: cancelled/);
    assert.match(text, /stock-preempt in all cells: this QEMU has no postcopy-preempt/);
    assert.match(text, /Measured under TCG/);
    assert.match(
      markdownOf(withTimes([5, 6, 7], [10, 11, 12])),
      /1\.83 \(1\.43 – 2\.40\) \| stock is better/,
    );
  });
});

describe("figures", () => {
  it("are written with three digits and the unit that fits", () => {
    assert.deepEqual([0, 0.1234, 1.234, 12.34, 123.4, 1234].map(digits), [
      "0",
      "0.123",
      "1.23",
      "12.3",
      "123",
      "1234",
    ]);
    assert.equal(amount(1999, "ms"), "1999 ms");
    assert.equal(amount(2000, "ms"), "2.00 s");
    assert.equal(amount(3 * 2 ** 30, "bytes"), "3.00 GiB");
  });

  it("get ticks that do not touch", () => {
    assert.deepEqual(logTicks(0.6, 1.6, 200), [0.7, 1, 1.5]);
    assert.deepEqual(logTicks(0.001, 1e6, 200), [0.001, 0.1, 10, 1000, 100000]);
    assert.deepEqual(spacedTicks([1, 2, 3, 10, 11], false, 100, 15), [1, 3, 10]);
  });
});

describe("a comparison", () => {
  it("takes only cells of the same work, and says which it leaves out", () => {
    const cells = [CELL, imaginedCell("other")];
    const b = imagined({ seed: 2, cells: [CELL, imaginedCell("other", { memoryMib: 999 })] });
    const compared = compareResults(imagined({ seed: 1, cells }), b);
    assert.deepEqual(compared.cells, ["cell"]);
    assert.match(comparisonText(compared), /left out, as the work is not the same: other/);
  });

  it("takes the figures as they are where no stock system was measured, and says so", () => {
    const only = (seed: number) => imagined({ seed, systems: [GODWIT] });
    const compared = compareResults(only(1), only(2));
    assert.ok(compared.rows.every(({ basis }) => basis === "absolute"));
    assert.match(comparisonText(compared), /\* as measured/);
  });

  it("of results with no system or cell in common is refused", () => {
    const a = imagined({ seed: 1, systems: [STOCK] });
    assert.throws(() => compareResults(a, imagined({ seed: 2, systems: [GODWIT] })), {
      code: "BENCH_NOTHING_COMMON",
    });
    assert.throws(() => compareResults(a, imagined({ seed: 2, cells: [CELL] })), {
      code: "BENCH_NOTHING_COMMON",
    });
  });
});

describe("godwit bench compare", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "godwit-compare-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const godwit = (...args: string[]) =>
    spawnSync(
      process.execPath,
      [join(import.meta.dirname, "../../src/cli/main.ts"), "bench", "compare", ...args],
      {
        cwd: folder,
        encoding: "utf8",
      },
    );

  it("prints a table or JSON, and fails for what is slower only when it is told to", async () => {
    const cost = (_: unknown, { family }: { family: string }) => (family === "godwit" ? 1.3 : 1);
    await writeFile(join(folder, "a.json"), JSON.stringify(imagined({ seed: 1, systems: TWO })));
    await writeFile(join(folder, "b.json"), JSON.stringify(imagined({ seed: 2, systems: TWO, cost })));
    const table = godwit("a.json", "b.json");
    assert.equal(table.status, 0, table.stderr);
    assert.match(table.stdout, /godwit-precopy +total time +\+\d\d\.\d % +9 and 9 +0\.00\d\d +slower/);
    const json = godwit(
      "a.json",
      "b.json",
      "--json",
      "--fail-if-slower",
      "--metric",
      "totalTimeMs",
      "wireBytes",
    );
    assert.equal(json.status, 1, json.stderr);
    const { rows } = JSON.parse(json.stdout);
    assert.deepEqual(rows.map(({ metric }: { metric: string }) => metric).slice(0, 2), [
      "totalTimeMs",
      "wireBytes",
    ]);
  });

  it("refuses what is no result, naming file and field", async () => {
    const broken = { ...imagined({ seed: 1, systems: TWO }), seed: "one" };
    const files = { "text.json": "hello", "other.json": "{}", "field.json": JSON.stringify(broken) };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const refused = (name: string, message: RegExp) =>
      assert.rejects(readResult(join(folder, name)), { code: "BENCH_RESULT_INVALID", message });
    await refused("missing.json", /missing\.json is no result of this bench: it cannot be read \(ENOENT\)/);
    await refused("text.json", /it is not JSON/);
    await refused("other.json", /format: /);
    await refused("field.json", /seed: /);
    const unknown = godwit("a.json", "b.json", "--metric", "speed");
    assert.equal(unknown.status, 2);
    assert.match(unknown.stderr, /no metric speed; known are: totalTimeMs/);
  });
});
