/** What a soak says: a line per move, and the summary at the end. */
import type { FaultSeen } from "./fault.ts";
import type { MoveRow } from "./move.ts";
import type { Fault, Line, Load, MovePlan } from "./plan.ts";
import { faultName, type HeldName, type SoakResult, type Spread, type Trend } from "./result.ts";

const MBIT = 125_000;
const MIB = 2 ** 20;

export function planText({ order, load, line, fault, restart }: MovePlan): string {
  const { strategy, engine, pagePolicy, pushOrder } = order;
  const parts = [`${strategy} ${engine}/${pagePolicy}/${pushOrder}`, loadText(load), lineText(line)];
  if (restart !== null) parts.push(`b's agent anew by ${restart}`);
  if (fault !== null) parts.push(faultText(fault));
  return parts.join(", ");
}

export function rowText(row: MoveRow, moves: number): string {
  const { plan, from, to, fault, status, error, settledMs, blackoutMs, verifiedPass } = row;
  const blackout = blackoutMs === null ? "" : `, blackout ${Math.round(blackoutMs)} ms`;
  const what = error === null ? status : `${status} (${error})`;
  return (
    `${String(plan.number).padStart(4)} of ${moves} ${from}>${to} ${planText(plan)}: ` +
    `${plan.fault === null || fault === null ? "" : `fault ${seenText(fault)}, `}` +
    `${what} after ${(settledMs / 1000).toFixed(1)} s${blackout}, V ${verifiedPass} OK`
  );
}

export function summaryText(result: SoakResult): string {
  const { rows, moves, summary, failure, samples } = result;
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  const faults = Object.entries(summary.faults).map(
    ([name, { planned, done }]) => `${name} ${done} of ${planned}`,
  );
  const lines = [
    `${rows.length} of ${moves} moves in ${(result.tookMs / 60_000).toFixed(1)} min, QEMU ${result.qemu}, seed ${result.seed}`,
    `  moves      ${list(summary.moves)}`,
    `  outcomes   ${list(summary.outcomes)}`,
    `  faults     ${faults.join(", ") || "none"} (put in, of planned); agent b started anew ${summary.restarts} times`,
    `  total time ${spreadText(summary.totalTimeMs)}`,
    `  blackout   ${spreadText(summary.blackoutMs.all)}; of moves without a fault ${spreadText(summary.blackoutMs.withoutFault)}`,
  ];
  if (summary.trends === null) lines.push(`  memory     not judged: ${samples.length} samples are too few`);
  else
    for (const [name, trend] of Object.entries(summary.trends))
      lines.push(`  ${trendText(name as HeldName, trend)}`);
  if (failure !== null) lines.push(`  FAILED in move ${failure.number}: ${failure.what}`);
  return lines.join("\n");
}

const HELD: { readonly [N in HeldName]: { readonly name: string; readonly unit: number } } = {
  rssBytes: { name: "resident", unit: MIB },
  heapBytes: { name: "heap", unit: MIB },
  externalBytes: { name: "buffers", unit: MIB },
  descriptors: { name: "fds", unit: 1 },
};

function trendText(name: HeldName, { first, last, growth, flat }: Trend): string {
  const { name: label, unit } = HELD[name];
  const amount = (value: number) => (unit === 1 ? String(value) : `${(value / unit).toFixed(1)} MiB`);
  const percent = `${growth >= 0 ? "+" : ""}${(growth * 100).toFixed(1)} %`;
  const verdict = flat ? "flat" : "NOT FLAT";
  return `${label.padEnd(10)} ${amount(first)} (first quarter) to ${amount(last)} (last quarter), ${percent}: ${verdict}`;
}

function spreadText(spread: Spread | null): string {
  if (spread === null) return "none";
  const { median, p95, most, count } = spread;
  return `median ${Math.round(median)} ms, p95 ${Math.round(p95)} ms, most ${Math.round(most)} ms (${count})`;
}

function loadText({ mode, pagesPerSec, hotPercent, fillMib }: Load): string {
  const hot = hotPercent === 0 ? "" : ` hot ${hotPercent} %`;
  return `${mode} ${pagesPerSec}/s${hot}${fillMib === 0 ? "" : ` +${fillMib} MiB`}`;
}

function lineText({ bytesPerSec, latencyMs }: Line): string {
  const rate = bytesPerSec === null ? "open line" : `${bytesPerSec / MBIT} Mbit`;
  return latencyMs === 0 ? rate : `${rate} ${latencyMs} ms`;
}

function faultText(fault: Fault): string {
  const forMs = fault.kind === "cut" ? ` for ${fault.forMs} ms` : "";
  return `${faultName(fault)}${forMs} after ${fault.at.afterMs} ms`;
}

function seenText(seen: FaultSeen): string {
  return typeof seen === "string" ? seen : `refused ${seen.refused}`;
}
