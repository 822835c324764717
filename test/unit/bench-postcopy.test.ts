/**
 * Goal: what the report says of post-copy follows from the samples: shares of the working set, ratios to plain and to the
 * best tuned stock system, orders side by side, aims held or missed; and a result of before is still read and shown.
 * Method: generated results whose costs are exact multiples, with figures of a pager put in.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { AIMS } from "../../bench/aims.ts";
import { CELLS, resultCell } from "../../bench/cells/mod.ts";
import { faultShareOf, networkFaults } from "../../bench/ledger/mod.ts";
import { markdownOf } from "../../bench/report/markdown.ts";
import { pageOf } from "../../bench/report/page.ts";
import { pagingTable, postcopySections } from "../../bench/report/postcopy.ts";
import { standings } from "../../bench/report/standing.ts";
import type { Table } from "../../bench/report/tables.ts";
import { SYSTEMS } from "../../bench/systems/mod.ts";
import {
  type BenchResult,
  type Ledger,
  type PagingWork,
  parseResult,
  readResult,
  type SystemInfo,
} from "../../src/bench/mod.ts";
import type { PagingFigures } from "../../src/paging/mod.ts";
import { imagined } from "../tools/benchResult.ts";

const RESULTS = join(import.meta.dirname, "../../bench/results");
const PLAIN = "stock-postcopy";
const CAPPED = "stock-postcopy-capped";
const PREEMPT = "stock-postcopy-preempt";
const OURS = "godwit-postcopy";

/** As a report has it. */
const WORK: PagingFigures = {
  ...{
    order: "auto",
    outstanding: 20_000,
    gathered: 0,
    answered: 1638,
    pushed: 18_362,
    late: 12,
    passedOn: 3,
  },
  ...{ drainMs: 900, poolBytesMax: 64 * 2 ** 20 },
  faultTimes: {
    ...{ count: 1638, p50Ms: 1, p95Ms: 4, p99Ms: 9, maxMs: 30 },
    buckets: [
      { toMs: 10, count: 1600 },
      { toMs: null, count: 38 },
    ],
  },
};

const system = (name: string): SystemInfo => ({
  name,
  about: name,
  family: name.startsWith("stock") ? "stock" : "godwit",
});

interface Imagination {
  readonly cells: readonly string[];
  /** NaN: its moves fail. */
  readonly costs: Readonly<Record<string, number>>;
  readonly more?: (system: string, cell: string) => Partial<Ledger>;
}

/** Cells of the bench without noise, so that ratios are those of the costs; read back as from a file. */
function resultOf({ cells, costs, more = () => ({}) }: Imagination): BenchResult {
  const bare = imagined({
    ...{ seed: 1, noise: 0, cells: cells.map(cellNamed), systems: Object.keys(costs).map(system) },
    cost: (_, { name }) => costs[name]!,
  });
  const samples = bare.samples.map((sample) => ({
    ...sample,
    ledger: {
      ...sample.ledger,
      blackoutMs: 100 * (costs[sample.system] ?? 1),
      ...more(sample.system, sample.cell),
    },
  }));
  return parseResult(JSON.parse(JSON.stringify({ ...bare, samples })), "imagined");
}

function cellNamed(name: string) {
  const found = CELLS.find((cell) => cell.name === name);
  assert(found, `the bench has no cell ${name}`);
  return resultCell(found);
}

function section(result: BenchResult, title: string): Table | undefined {
  return postcopySections(result).find((one) => one.title === title)?.table;
}

/** The text in this column of the row that begins so. */
function text(table: Table | undefined, column: string, ...begins: string[]): string | undefined {
  const index = table?.head.indexOf(column) ?? -1;
  assert.notEqual(index, -1, `${column} is not in ${table?.head.join(", ")}`);
  return table?.rows.find(({ cells }) => begins.every((text, i) => cells[i] === text))?.cells[index];
}

describe("network faults", () => {
  it("are what the pager answered, by the pages of the working set; without a pager all requests", () => {
    const scan = cellNamed("pushorders-scan");
    const ledger = resultOf({ cells: [scan.name], costs: { [OURS]: 1 } }).samples[0]!.ledger;
    const paged = { ...ledger, requests: 1800, paging: WORK };
    assert.equal(networkFaults(paged), 1638);
    assert.equal(faultShareOf(paged, scan), 1638 / 16_384);
    assert.equal(faultShareOf({ ...ledger, requests: 4096, paging: null }, scan), 0.25);
    assert.equal(faultShareOf({ ...ledger, requests: 4096 }, { ...scan, guests: 2 }), 0.125, "a sum of both");
    assert.equal(faultShareOf(paged, { ...scan, guests: 2 }), 1638 / 16_384, "of one of them");
    assert.equal(faultShareOf(ledger, scan), null, "nobody counted");
    // What Redis holds is worked on, too.
    assert.equal(faultShareOf({ ...ledger, requests: 8192 }, cellNamed("pushorders-redis")), 0.5);
  });

  it("are in the cell's table with the waits, for those that were asked only", () => {
    const result = resultOf({
      cells: ["postcopy-scan-100"],
      costs: { stock: 1, [PLAIN]: 1, [OURS]: 1 },
      more: (name) =>
        name === OURS ? { requests: 1653, paging: WORK } : { requests: name === PLAIN ? 8192 : 0 },
    });
    const [cell] = result.cells;
    const table = pagingTable(cell!, standings(result, cell!.name))!;
    assert.deepEqual(
      table.rows.map(({ cells }) => cells[0]),
      [PLAIN, OURS],
    );
    const of = (column: string) => [text(table, column, PLAIN), text(table, column, OURS)];
    assert.deepEqual(of("push order"), ["QEMU's own", "auto"]);
    assert.deepEqual(of("network faults"), ["8192", "1638"]);
    assert.deepEqual(of("of the working set"), ["50.0 %", "10.0 %"]);
    assert.deepEqual(of("of what was missing"), ["–", "8.19 %"]);
    assert.deepEqual(of("waited p50 / p95 / p99 / longest, ms"), ["–", "1.00 / 4.00 / 9.00 / 30.0"]);
    assert.deepEqual(of("drained after"), ["–", "900 ms"]);
    for (const shown of [markdownOf(result), pageOf(result)]) assert.match(shown, /Post-copy.{0,4} medians/);
  });
});

describe("post-copy against stock", () => {
  const against = (costs: Imagination["costs"]) =>
    section(
      resultOf({
        cells: ["postcopy-read-100"],
        costs,
        more: (name) => ({
          gapAfterResumeMs: 50,
          switchover: { rule: name === OURS ? "post-copy" : "downtime-limit", decisions: [] },
        }),
      }),
      "Post-copy against stock",
    );

  it("has the ratio to plain, to the best tuned and to the best of all, and what ended pre-copy", () => {
    const table = against({ [PLAIN]: 10, [CAPPED]: 4, [PREEMPT]: 5, [OURS]: 1 });
    const of = (column: string, name = OURS) => text(table, column, "postcopy-read-100", name);
    assert.equal(of("blackout / plain"), "0.100");
    assert.equal(of("blackout / the best tuned"), "0.250");
    assert.equal(of("bytes / the best of them"), "0.250");
    assert.equal(of("bytes / the best of them", PREEMPT), "1.25");
    assert.equal(of("longest gap after RESUME"), "50.0 ms");
    assert.equal(of("pre-copy ended by"), "post-copy");
    assert.equal(of("pre-copy ended by", PLAIN), "downtime-limit");
    // 1500 ms per unit of cost and two of cost for a first cell; 256 MiB on 100 Mbit take 21475 ms
    assert.equal(of("total time / (RAM / link)"), (3000 / 21_474.8).toFixed(3));
  });

  it("lacks the ratio to a system that failed or was not measured, and stays away without plain post-copy", () => {
    const failed = against({ [PLAIN]: 10, [CAPPED]: Number.NaN, [OURS]: 1 });
    assert.equal(text(failed, "blackout / the best tuned", "postcopy-read-100", OURS), "–");
    assert.equal(text(failed, "blackout / plain", "postcopy-read-100", OURS), "0.100");
    assert.equal(text(failed, "bytes / the best of them", "postcopy-read-100", `${CAPPED}, 3 failed`), "–");
    assert.equal(against({ stock: 1, [OURS]: 1 }), undefined);
  });
});

describe("push orders side by side", () => {
  it("have a column each, and rows per cell", () => {
    const result = resultOf({
      cells: ["pushorders-words", "pushorders-read"],
      costs: { [OURS]: 1, [`${OURS}-demand`]: 1, [`${OURS}-linear`]: 1, "godwit-hybrid": 1 },
      more: (name, cell) => ({
        paging: name.endsWith("linear") && cell.endsWith("read") ? { ...WORK, answered: 8192 } : WORK,
      }),
    });
    const table = section(result, "Push orders side by side");
    assert.deepEqual(table?.head.slice(2), ["auto", "demand", "linear"]);
    const share = ["pushorders-read", "network faults, of the working set"];
    assert.equal(text(table, "linear", ...share), "50.0 %");
    assert.equal(text(table, "auto", ...share), "10.0 %");
    assert.equal(text(table, "auto", "pushorders-words", "p95 of the waits"), "4.00 ms");
    assert.equal(text(table, "auto", "pushorders-words", "longest gap after RESUME"), "–");
  });
});

describe("aims", () => {
  it("name systems and cells that the bench has", () => {
    const systems = new Set(SYSTEMS.map(({ name }) => name));
    for (const { system, cells, against } of AIMS) {
      const others = "systems" in against ? against.systems : [];
      for (const name of [system, ...others]) assert(systems.has(name), name);
      for (const name of cells) {
        const measured = CELLS.find((cell) => cell.name === name)?.systems ?? [];
        assert(measured.includes(system), `${name} is measured with ${system}`);
      }
    }
  });

  const verdict = (result: BenchResult, figure: string, against: string) => {
    const row = section(result, "Aims")?.rows.find(
      ({ cells }) => cells[2] === figure && cells[3] === against,
    );
    return row === undefined ? undefined : [row.cells[5], row.cells[6]];
  };

  it("are held only when every cell reaches them", () => {
    const cells = ["postcopy-read-100", "postcopy-scan-100"];
    const costs = { [PLAIN]: 10, [CAPPED]: 4, [PREEMPT]: 5, [OURS]: 1 };
    const held = resultOf({ cells, costs });
    assert.deepEqual(verdict(held, "blackout", "plain"), [
      "postcopy-read-100 0.100; postcopy-scan-100 0.100",
      "held",
    ]);
    const missed = resultOf({
      cells,
      costs,
      more: (name, cell) => (name === OURS && cell === cells[1] ? { blackoutMs: 101 } : {}),
    });
    assert.equal(verdict(missed, "blackout", "plain")?.[1], "missed");
    assert.equal(verdict(missed, "blackout", "the best tuned")?.[1], "held");
    assert.equal(verdict(missed, "network faults", "its working set"), undefined, "another cell's aim");
  });

  it("are missed by a system that failed, and not comparable where only the other one did", () => {
    const cells = ["hybrid-words"];
    const ours = resultOf({ cells, costs: { [PLAIN]: 1, "godwit-hybrid": Number.NaN } });
    assert.equal(verdict(ours, "total time", "RAM / link")?.[1], "missed");
    const theirs = resultOf({ cells, costs: { [PLAIN]: Number.NaN, "godwit-hybrid": 1 } });
    assert.equal(verdict(theirs, "blackout", "plain")?.[1], "not comparable");
    assert.equal(verdict(theirs, "total time", "RAM / link")?.[1], "held");
  });
});

describe("results", () => {
  it("of before are read, and shown without what nobody measured then", async () => {
    const [oldest] = readdirSync(RESULTS)
      .filter((name) => /^\d{4}-.*\.json$/.test(name))
      .sort();
    assert(oldest !== undefined);
    const result = await readResult(join(RESULTS, oldest));
    const titles = postcopySections(result).map(({ title }) => title);
    assert.deepEqual(titles, ["Post-copy against stock"], "hybrid beside plain post-copy was in it");
    for (const cell of result.cells) assert.equal(pagingTable(cell, standings(result, cell.name)), null);
    assert.doesNotMatch(markdownOf(result), /longest gap after RESUME, |Post-copy, medians/);
  });

  it("hold a pager's figures as a report has them", () => {
    const kept = resultOf({
      cells: ["postcopy-read-100"],
      costs: { [OURS]: 1 },
      more: () => ({ paging: WORK }),
    });
    assert.deepEqual(kept.samples[0]!.ledger.paging, WORK satisfies PagingWork);
  });
});
