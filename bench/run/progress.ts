/** What the bench says while it measures, for people: one line per sample. */
import type { Sample } from "../../src/bench/mod.ts";

/**
 * Such as `12/30 quick-idle stock: total 1240 ms, downtime 35 ms, blackout 60 ms, 23.1 MB on the wire; about 2 min left`.
 * @param elapsedMs  of the run so far; what is left is reckoned from it
 */
export function sampleLine(sample: Sample, done: number, of: number, elapsedMs: number): string {
  const { totalTimeMs, downtimeMs, blackoutMs, gapAfterResumeMs, wireBytes, client } = sample.ledger;
  const figures = [
    `total ${ms(totalTimeMs)}`,
    `downtime ${ms(downtimeMs)}`,
    `blackout ${ms(blackoutMs)}`,
    ...(gapAfterResumeMs == null ? [] : [`gap after RESUME ${ms(gapAfterResumeMs)}`]),
    `${(wireBytes.forward / 1e6).toFixed(1)} MB on the wire`,
  ];
  if (client !== null) figures.push(`longest stall ${ms(client.longestStallMs)}`);
  const outcome = sample.outcome === "completed" ? "" : `FAILED (${sample.error}): `;
  const left = done === of ? "" : `; about ${duration((elapsedMs / done) * (of - done))} left`;
  return `${done}/${of} ${sample.cell} ${sample.system}: ${outcome}${figures.join(", ")}${left}`;
}

function ms(value: number | null): string {
  return value === null ? "unknown" : `${value.toFixed(0)} ms`;
}

function duration(timeMs: number): string {
  const seconds = Math.ceil(timeMs / 1000);
  return seconds < 100 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
