/** How figures are written: the unit fits the largest figure that stands beside it. */
import type { Figure, Summary } from "../../src/bench/mod.ts";

export interface Unit {
  readonly name: string;
  /** One of it in the figure's own unit. */
  readonly size: number;
}

type Kind = Figure["unit"] | "count";

const UNITS: Readonly<Record<Kind, readonly Unit[]>> = {
  ms: [
    { name: "ms", size: 1 },
    { name: "s", size: 1000 },
  ],
  bytes: [
    { name: "bytes", size: 1 },
    { name: "KiB", size: 2 ** 10 },
    { name: "MiB", size: 2 ** 20 },
    { name: "GiB", size: 2 ** 30 },
  ],
  joules: [{ name: "J", size: 1 }],
  count: [{ name: "", size: 1 }],
};

/** The largest unit of which `most` is at least two. */
export function unitFor(kind: Kind, most: number): Unit {
  const units = UNITS[kind];
  return units.findLast(({ size }) => most >= 2 * size) ?? units[0]!;
}

/** Three digits that matter, no more: 0.123, 1.23, 12.3, 123, 1230. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  const places = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
  return value.toFixed(places);
}

/** A number that was chosen, not measured, or an axis has: 60, 1.5, 0.2. */
export function plain(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** Without a unit: 12.3. */
export function bare(value: number, unit: Unit): string {
  return digits(value / unit.size);
}

/** With the unit that fits: 12.3 s. */
export function amount(value: number, kind: Kind): string {
  const unit = unitFor(kind, Math.abs(value));
  return `${bare(value, unit)} ${unit.name}`.trimEnd();
}

/** `12.3 (11.9 – 14.0)`; only the one figure where there is only one. */
export function spread({ median, least, most, count }: Summary, unit: Unit): string {
  if (count === 1) return bare(median, unit);
  return `${bare(median, unit)} (${bare(least, unit)} – ${bare(most, unit)})`;
}

/** Decimal, as links are sold. */
export function linkText({
  bytesPerSec,
  latencyMs,
  jitterMs,
}: {
  bytesPerSec: number | null;
  latencyMs: number;
  jitterMs: number;
}): string {
  const rate = bytesPerSec === null ? "not limited" : `${plain((bytesPerSec * 8) / 1e6)} Mbit/s`;
  const jitter = jitterMs === 0 ? "" : ` ± ${plain(jitterMs)} ms`;
  return `${rate}, ${plain(latencyMs)} ms${jitter} one way`;
}
