/**
 * Goal: what the report says of Godwit beside the best stock mode, beside the papers and beside the floor follows from
 * the samples, and a figure that is missing or missed is shown as such.
 * Method: generated results whose costs are exact multiples; a floor from files whose contents are known.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CELLS } from "../../bench/cells/mod.ts";
import { floorOf } from "../../bench/floor/mod.ts";
import { PAPER_CLAIMS } from "../../bench/papers.ts";
import { engineTable } from "../../bench/report/engines.ts";
import { markdownOf } from "../../bench/report/markdown.ts";
import { pageOf } from "../../bench/report/page.ts";
import { geometricMean, paperTable, ratioTable } from "../../bench/report/ratios.ts";
import { standings } from "../../bench/report/standing.ts";
import { systemTable } from "../../bench/report/tables.ts";
import { SYSTEMS } from "../../bench/systems/mod.ts";
import { type BenchResult, parseResult, type SystemInfo } from "../../src/bench/mod.ts";
import { imagined, imaginedCell } from "../tools/benchResult.ts";

const system = (name: string): SystemInfo => ({
  name,
  about: name,
  family: name.startsWith("stock") ? "stock" : "godwit",
});

/** Without noise, so that ratios are those of the costs. */
function resultOf(cells: readonly string[], costs: Readonly<Record<string, number>>): BenchResult {
  return imagined({
    seed: 1,
    noise: 0,
    cells: cells.map((name) => imaginedCell(name)),
    systems: Object.keys(costs).map(system),
    cost: (_cell, { name }) => costs[name]!,
  });
}

describe("beside the best stock mode", () => {
  it("each system has its ratio to the best, and the mean is geometric", () => {
    const result = resultOf(["text", "idle"], { stock: 2, "stock-xbzrle": 1, "godwit-precopy": 0.5 });
    const table = ratioTable(result, "wireBytes")!;
    assert.deepEqual(table.head, ["cell", "best stock", "godwit-precopy"]);
    assert.match(table.rows[0]!.cells[1]!, /stock-xbzrle$/);
    assert.deepEqual(
      table.rows.map(({ cells }) => cells[2]),
      ["0.500", "0.500", "0.500 (2 of 5)", "0.500"],
    );
    assert.equal(geometricMean([0.25, 1]), 0.5);
  });

  it("a system that failed has no ratio, and a stock system that failed is not the best", () => {
    const result = resultOf(["text", "idle"], {
      stock: 2,
      "stock-xbzrle": Number.NaN,
      "godwit-precopy": 1,
      "godwit-clark": Number.NaN,
    });
    const [row] = ratioTable(result, "wireBytes")!.rows;
    assert.match(row!.cells[1]!, /, stock$/);
    assert.deepEqual(row!.cells.slice(2), ["0.500", "–"]);
    assert.equal(
      ratioTable(resultOf(["text"], { stock: Number.NaN, "godwit-precopy": 1 }), "wireBytes"),
      null,
    );
  });
});

describe("beside the papers", () => {
  it("claims name systems and cells that the bench has", () => {
    const systems = new Set(SYSTEMS.map(({ name }) => name));
    const cells = new Set(CELLS.map(({ name }) => name));
    for (const claim of PAPER_CLAIMS) {
      assert(systems.has(claim.system) && systems.has(claim.baseline), claim.paper);
      for (const cell of claim.cells) assert(cells.has(cell), cell);
    }
  });

  it("a figure that is held, one that is missed, and one whose baseline never ended are told apart", () => {
    const verdicts = (costs: Readonly<Record<string, number>>) =>
      paperTable(resultOf(["paper-hot"], costs))!.rows.map(({ cells }) => [cells[3], cells[5], cells[7]]);
    assert.deepEqual(verdicts({ stock: 10, "godwit-xbrle": 7 }), [
      ["downtime", "0.467", "missed"],
      ["migrate time", "0.700", "missed"],
      ["bytes", "0.700", "held"],
    ]);
    assert.deepEqual(verdicts({ stock: Number.NaN, "godwit-xbrle": 1 }), [
      ["downtime", "–", "not comparable"],
      ["migrate time", "–", "not comparable"],
      ["bytes", "–", "not comparable"],
    ]);
    assert.equal(paperTable(resultOf(["paper-hot"], { stock: 1, "godwit-precopy": 1 })), null);
  });
});

describe("the floor", () => {
  it("counts each content once, and no zeros", async () => {
    const dir = await mkdtemp(join(tmpdir(), "floor-"));
    try {
      const [one, other, zero] = [randomBytes(4096), randomBytes(4096), Buffer.alloc(4096)];
      const files = [join(dir, "a"), join(dir, "b")];
      await writeFile(files[0]!, Buffer.concat([one, zero, one, zero, other]));
      await writeFile(files[1]!, Buffer.concat([other, zero]));
      const floor = await floorOf(files, { bytesPerSec: 1e6 }, { level: 1, windowLog: 20 });
      assert.equal(floor.memoryBytes, 7 * 4096);
      assert.deepEqual([floor.nonzeroPages, floor.distinctPages], [4, 2]);
      assert(floor.packedBytes >= 8192 && floor.packedBytes < 8192 + 100, `${floor.packedBytes}`);
      assert.equal(floor.linkMs, floor.packedBytes / 1000);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe("a result with all of it", () => {
  const bare = resultOf(["idle", "text"], { stock: 1, "godwit-precopy": 0.5 });
  const floor = {
    memoryBytes: 2 ** 28,
    nonzeroPages: 9000,
    distinctPages: 8000,
    packedBytes: 5e6,
    linkMs: 200,
  };
  const forms = Object.fromEntries(
    ["zero", "same", "delta", "sparse", "wkdm", "raw"].map((form, i) => [form, { pages: i, bytes: 100 * i }]),
  );
  const engine = {
    ...{ name: "auto", policy: "stream", cacheBytes: 2 ** 24, forms, effort: 3 },
    packed: { batches: 1, unpackedBytes: 3000, bytes: 1000 },
    ...{ unchanged: 7, superseded: 0, passed: 0, repaired: 0 },
    stageMs: { encode: 12, pack: 30, unpack: null, decode: null },
  };
  const full = parseResult(
    JSON.parse(
      JSON.stringify({
        ...bare,
        cells: bare.cells.map((cell) => ({ ...cell, floor })),
        samples: bare.samples.map((sample) => ({
          ...sample,
          ledger: {
            ...sample.ledger,
            ...(sample.system === "godwit-precopy" && {
              engine,
              switchover: { rule: "fits", decisions: [] },
            }),
          },
        })),
      }),
    ),
    "imagined",
  );

  it("shows floor, forms and the rule that ended pre-copy, as Markdown and as a page", () => {
    const [row] = engineTable(standings(full, "idle"))!.rows;
    assert.deepEqual(row!.cells.slice(0, 3), ["godwit-precopy", "auto, stream", "–"]);
    assert.equal(row!.cells.at(-1), "12.0 + 30.0");
    const ends = systemTable(standings(full, "idle")).rows.map(({ cells }) => cells.at(-1));
    assert.deepEqual(ends, ["–", "fits"]);
    for (const text of [markdownOf(full), pageOf(full)]) {
      assert.match(text, /Floor: the guest/);
      assert.match(text, /3000 bytes to 1000 bytes|2.93 KiB to 1000 bytes/);
      assert.match(text, /Against the best stock mode/);
    }
    assert.match(markdownOf(full), /\| floor \| – \| – \| 0.200 \|/);
  });

  it("lacks them where a result of before has none", () => {
    assert.equal(engineTable(standings(bare, "idle")), null);
    assert.doesNotMatch(markdownOf(bare), /floor|Page engine/i);
  });
});
