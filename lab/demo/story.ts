import { bytes, table, time } from "../../src/cli/show.ts";
import type { Report, Strategy } from "../../src/migration/mod.ts";
import type { Verdict } from "./verdict.ts";

/** What is different about each strategy, for who sees it for the first time. */
export const MEANING: { readonly [S in Strategy]: string } = {
  "stop-and-copy": "the guest stops, its memory crosses, it goes on: the longest stop",
  precopy:
    "memory crosses while the guest runs, what it wrote meanwhile crosses again, pass by pass; then a short stop",
  postcopy: "the guest goes on at the target at once, and pages follow as it touches them",
  hybrid: "pre-copy for as long as its passes pay, then a short stop or post-copy, whichever is better",
};

export interface Move {
  readonly from: string;
  readonly to: string;
  readonly report: Report;
  readonly verdict: Verdict;
}

/** Tells the viewer. Standard output is for the result. */
export function say(text = ""): void {
  process.stderr.write(`${text}\n`);
}

/** The closing table. */
export function movesTable(moves: readonly Move[]): string {
  const header = ["STRATEGY", "MOVE", "TOTAL", "DOWNTIME", "BLACKOUT", "PASSES", "WIRE", "FAULTS", "EQUAL"];
  const rows = moves.map(({ from, to, report, verdict }) => [
    ...[report.strategy ?? "-", `${from} -> ${to}`, time(report.totalTimeMs), time(report.downtimeMs)],
    ...[time(report.blackoutMs), String(report.passes ?? "-"), bytes(report.wireBytes.forward)],
    ...[String(report.faults), report.equal === true ? "yes" : "NO", `V ${verdict.pass} OK`],
  ]);
  return table([...header, "ORACLE"], rows);
}
