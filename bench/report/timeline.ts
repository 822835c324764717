import * as Plot from "@observablehq/plot";
import type { BenchResult, Cell, Sample, SystemInfo, TimelinePoint } from "../../src/bench/mod.ts";
import { type Html, html } from "./html.ts";
import { plotSvg, spacedTicks, WIDTH } from "./plot.ts";
import { standings } from "./standing.ts";
import { amount, digits, plain } from "./units.ts";

const PAGE_BYTES = 4096;
const POINTS_MAX = 160;
/** A rate over less than this, or than this share of the whole, is mostly the grain of the counters. */
const RATE_SPAN_MS = 250;
const RATE_SHARE = 1 / 60;
const SWITCHOVER = /^(pre-switchover|device|switchover|handover|postcopy)/;
const MARGIN = { left: 46, right: 14 };

export interface Timeline {
  readonly cell: string;
  readonly system: SystemInfo;
  readonly content: Html;
}

/** One move per cell and system: of those that were completed the one in the middle, else one that failed. */
export function timelinesOf(result: BenchResult): Timeline[] {
  const alone = result.cells.filter(({ factor }) => factor === null);
  // Points of curves have their curves; hundreds of timelines more would make the page slow.
  return (alone.length > 0 ? alone : result.cells).flatMap((cell) =>
    standings(result, cell.name).flatMap(({ system, completed, failed }) => {
      const inOrder = [...completed].sort(
        (a, b) => (a.ledger.totalTimeMs ?? 0) - (b.ledger.totalTimeMs ?? 0),
      );
      const sample = inOrder[Math.floor((inOrder.length - 1) / 2)] ?? failed[0];
      if (sample === undefined || sample.ledger.timeline.length < 3) return [];
      return [{ cell: cell.name, system, content: timelineOf(cell, sample) }];
    }),
  );
}

function timelineOf(cell: Cell, sample: Sample): Html {
  const points = thinned(sample.ledger.timeline);
  const end = points.at(-1)!.atMs / 1000;
  const phases = phasesOf(sample.ledger.timeline);
  const switchover = phases.find(({ phase }) => SWITCHOVER.test(phase))?.atS;
  const passes = passStarts(sample.ledger.timeline);
  const rates = ratesOf(points);
  const limit = cell.link.bytesPerSec === null ? null : cell.link.bytesPerSec / 2 ** 20;
  const remaining = points.flatMap(({ atMs, remainingBytes }) =>
    remainingBytes === null ? [] : [{ x: atMs / 1000, y: remainingBytes / 2 ** 20 }],
  );
  const counted = points.flatMap(({ atMs, passes }) =>
    passes === null ? [] : [{ x: atMs / 1000, y: passes }],
  );
  const marks = [
    ...(passes.length > 24 ? [] : [Plot.ruleX(passes, { strokeOpacity: 0.25, stroke: "currentColor" })]),
    ...(switchover === undefined
      ? []
      : [Plot.ruleX([switchover], { stroke: "var(--switchover)", strokeWidth: 2, strokeDasharray: "3 2" })]),
  ];
  const panel = (
    title: string,
    data: readonly { y: number }[],
    top: number | null,
    drawn: Plot.Markish[],
  ): Html | null => {
    if (data.length === 0) return null;
    const most = Math.max(1, top ?? 0, ...data.map(({ y }) => y));
    const svg = plotSvg(`${cell.name}, ${sample.system}: ${title}`, {
      height: 170,
      marginLeft: MARGIN.left,
      marginRight: MARGIN.right,
      marginTop: 8,
      marginBottom: 38,
      x: {
        domain: [0, end],
        label: "seconds since the order",
        labelAnchor: "center",
        labelArrow: "none",
        ticks: roundTicks(end),
        tickFormat: plain,
      },
      y: {
        domain: [0, most * 1.06],
        label: null,
        grid: true,
        ticks: 4,
        tickFormat: plain,
      },
      color: { type: "identity" },
      marks: [...marks, ...drawn],
    });
    return html`<figure class="panel"><figcaption>${title}</figcaption>${svg}</figure>`;
  };
  const line = (data: readonly { x: number; y: number }[], stroke: string, more: Plot.LineOptions = {}) =>
    Plot.line(data, { x: "x", y: "y", stroke, strokeWidth: 1.8, ...more });
  const dirty = rates.dirty.length === 0 ? [] : [line(rates.dirty, "var(--dirty)", { curve: "step-after" })];
  const limits =
    limit === null ? [] : [Plot.ruleY([limit], { stroke: "currentColor", strokeDasharray: "4 3" })];
  return html`<div class="grid">
${panel("rates, MiB/s", [...rates.wire, ...rates.dirty], limit, [...limits, ...dirty, line(rates.wire, "var(--wire)")])}
${panel("remaining, MiB", remaining, null, [line(remaining, "var(--wire)")])}
${panel("passes", counted, null, [line(counted, "var(--wire)", { curve: "step-after" })])}
</div>
<p class="small">${outcomeText(sample)} Its own words for its phases: ${phases
    .map(({ phase, atS }) => `${phase} (from ${digits(atS)} s)`)
    .join(", ")}.</p>`;
}

function outcomeText({ outcome, error, repeat, ledger }: Sample): string {
  const which = `Repeat ${repeat + 1}`;
  if (outcome === "failed") return `${which}: failed: ${error ?? "no reason was recorded"}.`;
  const figures = [
    ledger.totalTimeMs === null ? "" : `total time ${amount(ledger.totalTimeMs, "ms")}`,
    ledger.downtimeMs === null ? "" : `downtime ${amount(ledger.downtimeMs, "ms")}`,
    ledger.blackoutMs === null ? "" : `blackout ${amount(ledger.blackoutMs, "ms")}`,
  ];
  return `${which}: ${figures.filter((text) => text !== "").join(", ")}.`;
}

function thinned(points: readonly TimelinePoint[]): TimelinePoint[] {
  const step = Math.ceil(points.length / POINTS_MAX);
  return points.filter((_, i) => i % step === 0 || i === points.length - 1);
}

function phasesOf(points: readonly TimelinePoint[]): { phase: string; atS: number }[] {
  return points
    .filter(({ phase }, i) => phase !== points[i - 1]?.phase)
    .map(({ phase, atMs }) => ({ phase, atS: atMs / 1000 }));
}

function passStarts(points: readonly TimelinePoint[]): number[] {
  return points
    .filter(({ passes }, i) => passes !== null && passes !== points[i - 1]?.passes)
    .map(({ atMs }) => atMs / 1000);
}

/** MiB/s on the wire, and what the guest writes as whole pages. */
function ratesOf(points: readonly TimelinePoint[]) {
  const wire: { x: number; y: number }[] = [];
  let from = points[0]!;
  const spanLeastMs = Math.max(RATE_SPAN_MS, points.at(-1)!.atMs * RATE_SHARE);
  for (const point of points.slice(1)) {
    const spanMs = point.atMs - from.atMs;
    if (spanMs < spanLeastMs) continue;
    const middle = (from.atMs + point.atMs) / 2 / 1000;
    wire.push({ x: middle, y: ((point.wireBytes - from.wireBytes) / spanMs) * (1000 / 2 ** 20) });
    from = point;
  }
  // QEMU measures it at the end of a pass: a 0 in the first one means that it does not know yet.
  const known = points.filter(({ dirtyPagesPerSec, passes }) => dirtyPagesPerSec !== 0 || (passes ?? 0) > 1);
  const dirty = known.flatMap(({ atMs, dirtyPagesPerSec }) =>
    dirtyPagesPerSec === null ? [] : [{ x: atMs / 1000, y: (dirtyPagesPerSec * PAGE_BYTES) / 2 ** 20 }],
  );
  return { wire, dirty };
}

function roundTicks(end: number): number[] {
  const step = [1, 2, 5].flatMap((n) => [-2, -1, 0, 1, 2, 3].map((e) => n * 10 ** e)).sort((a, b) => a - b);
  const chosen = step.find((size) => end / size <= 6) ?? end;
  const all = Array.from({ length: Math.floor(end / chosen) + 1 }, (_, i) => i * chosen);
  return end > 0 ? spacedTicks([...all], false, WIDTH - MARGIN.left - MARGIN.right, 30) : [0];
}
