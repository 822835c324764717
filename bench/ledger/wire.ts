/** Bytes on the wire over time, and a move's timeline with them. */
import type { TimelinePoint } from "../../src/bench/mod.ts";

/** What the shaper had counted, away from the source, at one moment. */
export interface WirePoint {
  readonly atMs: number;
  readonly bytes: number;
}

/**
 * Bytes between `zero` and the moment `atMs`, read off a straight line between the two points around it; before the
 * first point 0, after the last what it says.
 * @param points  by time, not falling
 */
export function wireBytesAt(points: readonly WirePoint[], zero: number, atMs: number): number {
  const next = points.findIndex((point) => point.atMs >= atMs);
  if (points.length === 0 || next === 0) return points[0]?.atMs === atMs ? points[0].bytes - zero : 0;
  if (next === -1) return points.at(-1)!.bytes - zero;
  const [left, right] = [points[next - 1]!, points[next]!];
  const share = (atMs - left.atMs) / (right.atMs - left.atMs);
  return Math.round(left.bytes + share * (right.bytes - left.bytes)) - zero;
}

/** The timeline with what was on the wire at each of its points. `orderedAtMs` is where its own time begins. */
export function withWireBytes(
  timeline: readonly TimelinePoint[],
  points: readonly WirePoint[],
  orderedAtMs: number,
): TimelinePoint[] {
  const zero = points[0]?.bytes ?? 0;
  return timeline.map((point) => ({
    ...point,
    wireBytes: Math.max(0, wireBytesAt(points, zero, orderedAtMs + point.atMs)),
  }));
}
