import * as Plot from "@observablehq/plot";
import { type Cell, FIGURES, type FigureName } from "../../src/bench/mod.ts";
import { type Html, html } from "./html.ts";
import { FAILED, logTicks, plotSvg, roomFor, WIDTH } from "./plot.ts";
import type { Claim, Winner } from "./standing.ts";
import { digits } from "./units.ts";

const ROW = 24;
const MARGIN_RIGHT = 44;
const COLOURS: Partial<Record<Winner, string>> = { godwit: "var(--godwit-0)", stock: "var(--stock-0)" };
const ONLY: Partial<Record<Winner, string>> = {
  "only godwit": "only Godwit got through",
  "only stock": "only stock got through",
};

/** One figure over all cells: Godwit's best by stock's best, with the range of both. Null when no cell has it. */
export function overviewOf(
  cells: readonly { readonly cell: Cell; readonly claim: Claim }[],
  name: FigureName,
): Html | null {
  const points = cells.flatMap(({ cell, claim }) =>
    claim.ratio === null ? [] : [{ cell: cell.name, ...claim.ratio, winner: claim.winner }],
  );
  const only = cells.flatMap(({ cell, claim }) => {
    const text = ONLY[claim.winner];
    return text === undefined ? [] : [{ cell: cell.name, text }];
  });
  if (points.length + only.length === 0) return null;
  const domain: [number, number] = [
    Math.min(1 / 1.5, ...points.map(({ least }) => least)) * 0.9,
    Math.max(1.5, ...points.map(({ most }) => most)) * 1.1,
  ];
  const colour = (winner: Winner) => COLOURS[winner] ?? "var(--noise)";
  const { label } = FIGURES[name];
  const marginLeft = roomFor(cells.map(({ cell }) => cell.name));
  const svg = plotSvg(`${label}: best Godwit by best stock, per cell`, {
    height: ROW * cells.length + 34,
    marginLeft,
    marginRight: MARGIN_RIGHT,
    marginTop: 6,
    marginBottom: 26,
    x: {
      type: "log",
      domain,
      label: null,
      grid: true,
      ticks: logTicks(domain[0], domain[1], WIDTH - marginLeft - MARGIN_RIGHT),
      tickFormat: (value: number) => String(value),
    },
    y: { domain: cells.map(({ cell }) => cell.name), label: null, tickSize: 0, type: "band" },
    color: { type: "identity" },
    marks: [
      Plot.ruleX([1], { stroke: "currentColor", strokeWidth: 1.5 }),
      Plot.ruleY(points, {
        y: "cell",
        x1: "least",
        x2: "most",
        stroke: (d) => colour(d.winner),
        strokeWidth: 2,
      }),
      Plot.dot(points, {
        y: "cell",
        x: "median",
        r: 4.5,
        stroke: (d) => colour(d.winner),
        strokeWidth: 2,
        fill: (d) => (COLOURS[d.winner as Winner] === undefined ? "var(--page)" : colour(d.winner)),
      }),
      Plot.text(points, {
        y: "cell",
        frameAnchor: "right",
        textAnchor: "start",
        dx: 4,
        text: (d) => `${d.median < 9.95 ? d.median.toFixed(2) : digits(d.median)}×`,
        fill: (d) => (COLOURS[d.winner as Winner] === undefined ? "var(--faint)" : colour(d.winner)),
      }),
      Plot.text(only, {
        y: "cell",
        frameAnchor: "left",
        dx: 4,
        text: "text",
        fill: (d) => (d.text === ONLY["only godwit"] ? "var(--godwit-0)" : FAILED),
      }),
    ],
  });
  return html`<figure class="panel" data-figure="${name}"><figcaption>${label}</figcaption>${svg}</figure>`;
}
