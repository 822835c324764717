/**
 * Goal: the report of a result can be read: in a browser, without a network, on a phone and on a wide screen.
 * Method: the page of generated results with failures, missing figures and large differences is opened from its file in
 * a real headless browser. Its plots are counted against the result; every piece of text in a plot is measured.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "puppeteer-core";
import { openBrowser, writeReport } from "../../bench/report/mod.ts";
import { chromium } from "../../lab/mod.ts";
import type { BenchResult } from "../../src/bench/mod.ts";
import { imagined, imaginedCell, imaginedCurve } from "../tools/benchResult.ts";

const CELLS = [
  imaginedCell("redis", { load: "redis", about: "Redis & <b>friends</b> under mixed GET and SET" }),
  imaginedCell("all-of-stock-fails"),
  imaginedCell("large-differences"),
];
const POINTS = imaginedCurve("dirtyRate", [300, 800, 1500, 2300, 3000, 4500]);
const RESULT = imagined({
  seed: 3,
  cells: [
    ...CELLS,
    ...POINTS,
    ...imaginedCurve(
      "linkRate",
      [10, 100, 1000].map((mbit) => mbit * 125e3),
    ),
  ],
  cost: (cell, { name, family }, repeat) => {
    if (cell.name === "all-of-stock-fails" && family === "stock") return Number.NaN;
    if (cell.name === "redis" && name === "godwit-hybrid" && repeat === 1) return Number.NaN;
    if (cell.name === "large-differences" && name === "stock-postcopy") return 60;
    if (name === "stock" && (cell.factor?.x ?? 0) === 4500) return Number.NaN;
    return family === "godwit" ? 0.7 : 1;
  },
});

let folder: string;
let browser: Browser;
let page: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-report-"));
  const program = chromium();
  assert.ok(program !== null, "there is no Chromium: run `npm run setup -- --tests`, or install one");
  browser = await openBrowser(program);
  page = (await writeReport(RESULT, folder, "result", { browser: null })).html;
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens a page; what went wrong in it and what it asked the network for are collected. */
async function opened(
  path: string,
  width: number,
  scheme = "light",
): Promise<{ tab: Page; troubles: string[] }> {
  const tab = await browser.newPage();
  const troubles: string[] = [];
  tab.on("pageerror", (error) => troubles.push(String(error)));
  tab.on("console", (message) => troubles.push(message.text()));
  tab.on("request", (request) => {
    if (request.url() !== pathToFileURL(path).href) troubles.push(request.url());
  });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await tab.setViewport({ width, height: 900 });
  await tab.goto(pathToFileURL(path).href);
  return { tab, troubles };
}

/** Runs in the page: complaints about text of visible plots that is clipped, unreadably small or overlaps other text. */
const BAD_TEXT = `(() => {
  const complaints = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (frame.width === 0) continue; // of a timeline that is not shown
    const name = svg.getAttribute("aria-label");
    const texts = [...svg.querySelectorAll("text")]
      .map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }))
      .filter(({ text }) => text.trim() !== "");
    for (const { text, box } of texts) {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        complaints.push(name + ": clipped: " + text);
      if (box.height < 11) complaints.push(name + ": small: " + text + " " + box.height);
    }
    for (const [i, one] of texts.entries())
      for (const other of texts.slice(i + 1)) {
        const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
        const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
        if (across > 1 && down > 3) complaints.push(name + ": overlap: " + one.text + " and " + other.text);
      }
  }
  return complaints;
})()`;

for (const width of [390, 1280])
  test(`the page opens without a network at ${width} pixels, and its text can be read`, async () => {
    const { tab, troubles } = await opened(page, width);
    assert.deepEqual(troubles, []);
    assert.deepEqual(await tab.evaluate(BAD_TEXT), []);
    assert.equal(
      await tab.evaluate("document.documentElement.scrollWidth"),
      width,
      "the page scrolls sideways",
    );
    await tab.close();
  });

test("clipped, small and overlapping text is seen", async () => {
  const path = join(folder, "bad.html");
  const svg = (text: string) => `<svg width="100" height="60" aria-label="bad">${text}</svg>`;
  await writeFile(
    path,
    svg('<text x="80" y="30">too far right</text>') +
      svg('<text x="5" y="30" font-size="4">small</text>') +
      svg('<text x="5" y="30">one</text><text x="12" y="32">other</text>'),
  );
  const { tab } = await opened(path, 500);
  const found = (await tab.evaluate(BAD_TEXT)) as string[];
  assert.deepEqual(
    found.map((text) => text.split(":")[1]),
    [" clipped", " small", " overlap"],
  );
  await tab.close();
});

test("every cell has its plots, with a dot for each sample and a word for each that failed", async () => {
  const { tab } = await opened(page, 1280);
  for (const cell of RESULT.cells) {
    const section = `section[data-cell="${cell.name}"]`;
    const samples = RESULT.samples.filter((sample) => sample.cell === cell.name);
    const completed = samples.filter(({ outcome }) => outcome === "completed").length;
    const panel = `${section} [data-figure="totalTimeMs"]`;
    const dots = await tab.$$eval(`${panel} g[aria-label="dot"] circle`, (found) => found.length);
    assert.equal(dots, completed, cell.name);
    const panels = await tab.$$eval(`${section} .bars svg`, (found) => found.length);
    assert.equal(panels, cell.load === "redis" ? 6 : 5, cell.name);
    const failing = new Set(
      samples.filter(({ outcome }) => outcome === "failed").map(({ system }) => system),
    );
    const words = await tab.$$eval(
      `${panel} text`,
      (found) => found.filter((t) => /^× /.test(t.textContent)).length,
    );
    assert.equal(words, failing.size, cell.name);
    assert.equal(
      await tab.$$eval(`${section} .systems tbody tr`, (found) => found.length),
      RESULT.systems.length,
    );
  }
  assert.equal(await tab.$$eval(".curve", (found) => found.length), 2);
  const points = await tab.$$eval(
    '[data-factor="dirtyRate"] [data-figure="total time"] g[aria-label="dot"] path',
    (f) => f.length,
  );
  const completed = RESULT.samples.filter(
    (s) => s.cell.startsWith("dirtyRate") && s.outcome === "completed",
  ).length;
  assert.equal(points, completed + 1, "each sample, and one cross for the point where stock failed");
  await tab.close();
});

test("claims, failures and what was skipped are said; text of a result is text", async () => {
  const { tab } = await opened(page, 1280);
  const text = (selector: string) => tab.$eval(selector, (element) => element.textContent);
  assert.match(await text("main"), /Measured under TCG/);
  assert.match(await text('[data-cell="all-of-stock-fails"] .claims'), /only Godwit completed every move/);
  assert.match(await text("#skipped"), /stock-preempt in all cells: this QEMU has no postcopy-preempt/);
  const failed = RESULT.samples.filter(({ outcome }) => outcome === "failed").length;
  assert.equal(await tab.$$eval("#skipped .failures li", (found) => found.length), failed);
  assert.match(await text('[data-cell="redis"]'), /Redis & <b>friends<\/b>/);
  await tab.close();
});

test("the reader chooses a timeline; in the dark, too", async () => {
  const { tab, troubles } = await opened(page, 1280, "dark");
  const shown = () =>
    tab.$$eval("[data-timeline]:not([hidden])", (found) =>
      found.map((one) => [one.getAttribute("data-cell"), one.getAttribute("data-system")]),
    );
  assert.deepEqual(await shown(), [["redis", "godwit-precopy"]]);
  await tab.select("#timeline-cell", "large-differences");
  await tab.select("#timeline-system", "godwit-hybrid");
  assert.deepEqual(await shown(), [["large-differences", "godwit-hybrid"]]);
  assert.equal(await tab.$$eval("[data-timeline]:not([hidden]) svg", (found) => found.length), 3);
  assert.deepEqual(await tab.evaluate(BAD_TEXT), []);
  assert.deepEqual(troubles, []);
  assert.equal(await tab.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(22, 24, 28)");
  await tab.close();
});

test("a result of nothing but failures, and one with no sample, have a page as well", async () => {
  const dead = imagined({ seed: 1, cells: CELLS, cost: () => Number.NaN });
  const results: [string, BenchResult][] = [
    ["dead", dead],
    ["empty", { ...dead, samples: [] }],
  ];
  for (const [name, result] of results) {
    const { html } = await writeReport(result, folder, name, { browser: null });
    const { tab, troubles } = await opened(html, 390);
    assert.deepEqual(troubles, []);
    assert.deepEqual(await tab.evaluate(BAD_TEXT), []);
    await tab.close();
  }
});
