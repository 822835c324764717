import * as Plot from "@observablehq/plot";
import {
  type BenchResult,
  type Cell,
  FACTORS,
  type Factor,
  type Ledger,
  summary,
} from "../../src/bench/mod.ts";
import type { Look } from "./colours.ts";
import { type Html, html } from "./html.ts";
import { logTicks, needsLog, plotSvg, spacedTicks, WIDTH } from "./plot.ts";
import { plain, unitFor } from "./units.ts";

const MARGIN_LEFT = 46;
const MARGIN_RIGHT = 18;
/** On the wire: a page, its header and what framing costs. */
const PAGE_BYTES = 4104;

const SHOWN = [
  { label: "total time", unit: "ms", of: (l: Ledger) => l.totalTimeMs },
  { label: "downtime", unit: "ms", of: (l: Ledger) => l.downtimeMs },
  { label: "blackout", unit: "ms", of: (l: Ledger) => l.blackoutMs },
  { label: "passes", unit: "count", of: (l: Ledger) => l.passes },
  { label: "bytes on the wire", unit: "bytes", of: (l: Ledger) => l.wireBytes.forward },
  { label: "CPU time", unit: "ms", of: (l: Ledger) => l.cpuMs.source + l.cpuMs.target },
] as const;

const AXES: Readonly<Record<Factor, { label: string; size: number }>> = {
  dirtyRate: { label: "pages written per second", size: 1 },
  linkRate: { label: "link, Mbit/s", size: 1e6 / 8 },
  ram: { label: "RAM, MiB", size: 1 },
  guests: { label: "guests at once", size: 1 },
};

export interface Curve {
  readonly factor: Factor;
  readonly panels: readonly Html[];
  /** Names of those that are in it. */
  readonly systems: readonly string[];
  /** What the plots cannot say themselves. */
  readonly note: string | null;
}

/** What the result has of each factor: at least two points, or there is no curve. */
export function curvesOf(result: BenchResult, looks: ReadonlyMap<string, Look>): Curve[] {
  return (Object.keys(FACTORS) as Factor[]).flatMap((factor) => {
    const cells = result.cells
      .filter((cell) => cell.factor?.name === factor && result.samples.some((s) => s.cell === cell.name))
      .sort((a, b) => a.factor!.x - b.factor!.x);
    if (new Set(cells.map((cell) => cell.factor!.x)).size < 2) return [];
    const carries = factor === "dirtyRate" ? carriedBy(cells) : null;
    const panels = SHOWN.flatMap((shown) => panelOf(result, cells, factor, shown, looks, carries) ?? []);
    const note =
      carries === null
        ? null
        : `The dashed line is what the link carries: about ${Math.round(carries)} whole pages per second.`;
    const systems = result.systems
      .map(({ name }) => name)
      .filter((name) =>
        result.samples.some((s) => s.system === name && cells.some((c) => c.name === s.cell)),
      );
    return [{ factor, panels, systems, note }];
  });
}

/** Pages per second; null where the cells' links differ or have no limit. */
function carriedBy(cells: readonly Cell[]): number | null {
  const rates = new Set(cells.map(({ link }) => link.bytesPerSec));
  const [rate] = rates;
  return rates.size === 1 && rate != null ? rate / PAGE_BYTES : null;
}

function panelOf(
  result: BenchResult,
  cells: readonly Cell[],
  factor: Factor,
  shown: (typeof SHOWN)[number],
  looks: ReadonlyMap<string, Look>,
  carries: number | null,
): Html | null {
  const axis = AXES[factor];
  const xOf = new Map(cells.map((cell) => [cell.name, cell.factor!.x / axis.size]));
  const here = result.samples.filter(({ cell }) => xOf.has(cell));
  const measured = here
    .filter(({ outcome }) => outcome === "completed")
    .flatMap(({ cell, system, ledger }) => {
      const value = shown.of(ledger);
      return value === null ? [] : [{ x: xOf.get(cell)!, system, value }];
    });
  if (measured.length === 0) return null;
  const unit = unitFor(shown.unit, Math.max(...measured.map(({ value }) => value)));
  const dots = measured.map((point) => ({ ...point, value: point.value / unit.size }));
  const systems = result.systems
    .map(({ name }) => name)
    .filter((name) => dots.some((d) => d.system === name));
  const lines = systems.flatMap((system) =>
    [...new Set(xOf.values())].flatMap((x) => {
      const values = dots.filter((d) => d.system === system && d.x === x).map(({ value }) => value);
      return values.length === 0 ? [] : [{ system, x, value: summary(values).median }];
    }),
  );
  // Two of one system at one point are one cross; systems stand above each other.
  const failedSystems = [...new Set(here.filter((s) => s.outcome === "failed").map(({ system }) => system))];
  const failed = failedSystems.flatMap((system, row) =>
    [
      ...new Set(
        here.filter((s) => s.outcome === "failed" && s.system === system).map(({ cell }) => xOf.get(cell)!),
      ),
    ].map((x) => ({ system, x, row })),
  );
  const values = dots.map(({ value }) => value);
  const yLog = needsLog(values);
  const yDomain = yLog
    ? [Math.min(...values.filter((v) => v > 0)) * 0.8, Math.max(...values) * 1.2]
    : [0, Math.max(...values) * 1.06];
  const xs = [...new Set(xOf.values())].sort((a, b) => a - b);
  const xLog = xs[0]! > 0 && xs.at(-1)! >= 16 * xs[0]!;
  const look = (system: string) => looks.get(system)!;
  const title = [
    `${shown.label}${unit.name === "" ? "" : `, ${unit.name}`}`,
    ...(yLog ? ["(logarithmic)"] : []),
  ].join(" ");
  const marginTop = 10 + 10 * failedSystems.length;
  const svg = plotSvg(`${title} against ${axis.label}`, {
    height: 200 + marginTop,
    marginTop,
    marginLeft: MARGIN_LEFT,
    marginRight: MARGIN_RIGHT,
    marginBottom: 40,
    x: {
      type: xLog ? "log" : "linear",
      label: axis.label,
      labelAnchor: "center",
      labelArrow: "none",
      ticks: spacedTicks(xs, xLog, WIDTH - MARGIN_LEFT - MARGIN_RIGHT, 34),
      tickFormat: plain,
    },
    y: {
      type: yLog ? "log" : "linear",
      domain: yDomain as [number, number],
      label: null,
      grid: true,
      ...(yLog ? { ticks: logTicks(yDomain[0]!, yDomain[1]!, 200) } : { ticks: 5 }),
      tickFormat: plain,
    },
    color: { type: "identity" },
    symbol: { type: "identity" },
    marks: [
      ...(carries === null || carries > xs.at(-1)!
        ? []
        : [Plot.ruleX([carries], { stroke: "currentColor", strokeDasharray: "4 3", strokeOpacity: 0.6 })]),
      Plot.line(lines, {
        x: "x",
        y: "value",
        z: "system",
        stroke: (d: { system: string }) => look(d.system).colour,
        strokeWidth: 1.8,
      }),
      Plot.dot(dots, {
        x: "x",
        y: "value",
        r: 3,
        stroke: (d: { system: string }) => look(d.system).colour,
        symbol: (d: { system: string }) => look(d.system).symbol,
      }),
      ...failedSystems.map((_, row) =>
        Plot.dot(
          failed.filter((f) => f.row === row),
          {
            x: "x",
            frameAnchor: "top",
            dy: -6 - 10 * row,
            symbol: "times",
            r: 3.5,
            stroke: (d: { system: string }) => look(d.system).colour,
            strokeWidth: 2,
            clip: false,
          },
        ),
      ),
    ],
  });
  return html`<figure class="panel" data-figure="${shown.label}"><figcaption>${title}</figcaption>${svg}</figure>`;
}
