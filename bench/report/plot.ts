/** Plots as SVG text, drawn without a browser. Text and colours follow the page they are put into. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { Html } from "./html.ts";

/** What fits beside two others on a wide page, and alone on a narrow one, with letters of the same size. */
export const WIDTH = 350;
export const FAILED = "var(--failed)";

/** What is asked of the element: the types of a browser's page are not there in this program. */
interface Drawn {
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  querySelector(selector: string): { remove(): void } | null;
}

/** @param title  what a reader that cannot see it is told */
export function plotSvg(title: string, options: Plot.PlotOptions): Html {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const plot = Plot.plot({
    width: WIDTH,
    className: "plot",
    style: { fontSize: "11px", background: "none", overflow: "hidden" },
    ...options,
    document,
  } as Plot.PlotOptions) as unknown as Drawn;
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", title);
  plot.querySelector("style")?.remove(); // once, in the page's own style sheet
  return new Html(plot.outerHTML);
}

/** Room for labels of so many letters. */
export function roomFor(texts: readonly string[]): number {
  return 14 + 6.4 * Math.max(0, ...texts.map((text) => text.length));
}

/** A scale is logarithmic when what it shows differs so much that a linear one would hide the small. */
export function needsLog(values: readonly number[]): boolean {
  const above = values.filter((value) => value > 0);
  return above.length > 0 && Math.max(...above) > 20 * Math.min(...above);
}

/** Steps of a decade, from fine to coarse. */
const STEPS = [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1]];
/** Labels of a logarithmic axis stand at least so far apart. */
const GAP = 30;

/** Round values for a logarithmic axis of `width` pixels: the finest steps whose labels do not touch. */
export function logTicks(least: number, most: number, width: number): number[] {
  const decades = Array.from({ length: 24 }, (_, i) => 10 ** (i - 9));
  const sets = STEPS.map((digits) =>
    decades
      .flatMap((decade) => digits.map((digit) => Number((digit * decade).toPrecision(2))))
      .filter((value) => value >= least * 0.999 && value <= most * 1.001),
  );
  const apart = (from: number, to: number) => (Math.log(to / from) / Math.log(most / least)) * width;
  const fits = sets.find((set) => set.every((value, i) => i === 0 || apart(set[i - 1]!, value) >= GAP));
  const coarsest = sets.at(-1)!;
  return fits ?? coarsest.filter((_, i) => i % Math.ceil((coarsest.length * GAP) / width) === 0);
}

/** Those of `values` (sorted) that stand at least `gap` apart on an axis of `width`. */
export function spacedTicks(values: readonly number[], log: boolean, width: number, gap: number): number[] {
  const scale = log ? Math.log : (value: number) => value;
  const range = scale(values.at(-1)!) - scale(values[0]!);
  const kept: number[] = [];
  for (const value of values) {
    const last = kept.at(-1);
    if (last === undefined || ((scale(value) - scale(last)) / range) * width >= gap) kept.push(value);
  }
  return kept;
}
