import * as Plot from "@observablehq/plot";
import { FIGURES, type FigureName } from "../../src/bench/mod.ts";
import type { Look } from "./colours.ts";
import { type Html, html } from "./html.ts";
import { FAILED, logTicks, needsLog, plotSvg, roomFor, WIDTH } from "./plot.ts";
import { type Standing, summaryOf, valuesOf } from "./standing.ts";
import { plain, unitFor } from "./units.ts";

const ROW = 22;

/**
 * One figure of all systems in a cell: each sample a dot, the median a bar (or, on a logarithmic scale, which has no
 * zero to begin at, a tick with a line from the least to the most). Null when nobody has it.
 */
export function barsOf(
  cell: string,
  all: readonly Standing[],
  name: FigureName,
  looks: ReadonlyMap<string, Look>,
): Html | null {
  const figure = FIGURES[name];
  const values = all.flatMap((standing) => valuesOf(standing, name));
  if (values.length === 0) return null;
  const log = needsLog(values);
  const unit = unitFor(figure.unit, Math.max(...values));
  const colour = (system: string) => looks.get(system)!.colour;
  const dots = all.flatMap((standing) =>
    valuesOf(standing, name).map((value) => ({ system: standing.system.name, value: value / unit.size })),
  );
  const bars = all.flatMap((standing) => {
    const found = summaryOf(standing, name);
    const { name: system } = standing.system;
    return found === null ? [] : [{ system, ...scaled(found, unit.size) }];
  });
  const failed = all
    .filter((standing) => standing.failed.length > 0)
    .map(({ system, samples, failed, completed }) => ({
      system: system.name,
      none: completed.length === 0,
      text: `× ${failed.length}/${samples.length}`,
    }));
  const domain = log
    ? logDomain(values.map((v) => v / unit.size))
    : [0, (Math.max(...values) / unit.size) * 1.04];
  const title = `${figure.label}${unit.name === "" ? "" : `, ${unit.name}`}${log ? " (logarithmic)" : ""}`;
  const marginLeft = roomFor(all.map(({ system }) => system.name));
  const marginRight = failed.length > 0 ? 38 : 16;
  const svg = plotSvg(`${cell}: ${title}`, {
    height: ROW * all.length + 34,
    marginLeft,
    marginRight,
    marginTop: 6,
    marginBottom: 26,
    x: {
      type: log ? "log" : "linear",
      domain: domain as [number, number],
      label: null,
      grid: true,
      ...(log ? { ticks: logTicks(domain[0]!, domain[1]!, WIDTH - marginLeft - marginRight) } : { ticks: 4 }),
      tickFormat: plain,
    },
    y: { domain: all.map(({ system }) => system.name), label: null, tickSize: 0, padding: 0.3 },
    color: { type: "identity" },
    marks: [
      ...(log
        ? [
            Plot.ruleY(bars, {
              y: "system",
              x1: "least",
              x2: "most",
              stroke: (d) => colour(d.system),
              strokeWidth: 2,
            }),
            Plot.tickX(bars, { y: "system", x: "median", stroke: (d) => colour(d.system), strokeWidth: 4 }),
          ]
        : [
            Plot.barX(bars, {
              y: "system",
              x: "median",
              fill: (d) => colour(d.system),
              fillOpacity: 0.35,
              stroke: (d) => colour(d.system),
            }),
          ]),
      Plot.dot(dots, { y: "system", x: "value", r: 2.6, fill: (d) => colour(d.system) }),
      Plot.text(
        failed.filter(({ none }) => none),
        {
          y: "system",
          frameAnchor: "left",
          dx: 4,
          text: () => "failed every time",
          fill: FAILED,
        },
      ),
      Plot.text(failed, {
        y: "system",
        frameAnchor: "right",
        textAnchor: "start",
        dx: 4,
        text: "text",
        fill: FAILED,
      }),
    ],
  });
  return html`<figure class="panel" data-figure="${name}"><figcaption>${title}</figcaption>${svg}</figure>`;
}

function scaled({ median, least, most }: { median: number; least: number; most: number }, size: number) {
  return { median: median / size, least: least / size, most: most / size };
}

function logDomain(values: readonly number[]): [number, number] {
  const above = values.filter((value) => value > 0);
  return [Math.min(...above) * 0.8, Math.max(...above) * 1.15];
}
