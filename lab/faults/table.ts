/** Rows of the matrix as text: one line each while they come, tables at the end. Pure. */
import { broken } from "./promise.ts";
import type { FaultRow, FaultSeen } from "./types.ts";

/** One row on one line, for whoever watches. */
export function rowLine(row: FaultRow, done: number, of: number): string {
  const head = `[${done}/${of}] ${verdictOf(row).padEnd(7)} QEMU ${row.qemu}  ${row.name}`;
  if (row.seen === null) return `${head}: ${row.problem}`;
  return `${head}: ${sawText(row.seen)}${why(row)}`;
}

/** How many of how many cases kept their promise, by group; stock's rows by what became of them. */
export function summaryTable(rows: readonly FaultRow[]): string {
  const lines = groupsOf(rows).map(([title, of]) => {
    const seen = of.flatMap((row) => (row.seen === null ? [] : [row.seen]));
    const count = (when: (seen: FaultSeen) => boolean) => seen.filter(when).length;
    const promised = of.filter(({ kept }) => kept !== null);
    return [
      ...[title, `${seen.length}`],
      promised.length === 0 ? "none promised" : `${promised.filter(({ kept }) => kept).length}`,
      ...[
        `${count(({ everBoth, runs }) => everBoth || runs === "both")}`,
        `${count(({ runs }) => runs === "none")}`,
      ],
      ...[`${count(({ oracle }) => oracle === "corrupt")}`, `${count(({ again }) => again === "worked")}`],
      `${of.length - seen.length}`,
    ];
  });
  return table(
    [
      "cases",
      "run",
      "promise kept",
      "two ran",
      "no side runs",
      "memory wrong",
      "next move works",
      "not set up",
    ],
    lines,
  );
}

/** One row per case and QEMU. */
export function casesTable(rows: readonly FaultRow[]): string {
  const lines = rows.map((row) => {
    const { seen } = row;
    const head = [row.qemu, row.strategy, row.moment, row.fault];
    if (seen === null) return [...head, "-", "-", "-", "-", "-", `not set up: ${row.problem}`];
    const settled = `${(seen.settledMs / 1000).toFixed(1)} s`;
    const note = [seen.note, why(row).slice(2)].filter(Boolean).join("; ");
    return [
      ...head,
      runsText(seen),
      seen.oracle,
      saidText(seen),
      settled,
      seen.again,
      `${verdictOf(row)}${note && `: ${note}`}`,
    ];
  });
  return table(
    [
      "QEMU",
      "strategy",
      "moment",
      "fault",
      "runs",
      "oracle",
      "what was said",
      "settled",
      "next move",
      "promise",
    ],
    lines,
  );
}

/** Tables of all groups, as Markdown. */
export function tablesOf(rows: readonly FaultRow[]): string {
  const groups = groupsOf(rows).map(([title, of]) => `### ${title}\n\n${casesTable(of)}`);
  return [summaryTable(rows), ...groups].join("\n\n");
}

/** By group and system, in the order of their first rows. */
function groupsOf(rows: readonly FaultRow[]): [title: string, rows: FaultRow[]][] {
  const groups = new Map<string, FaultRow[]>();
  for (const row of rows) {
    const title = `${row.group}, ${row.system === "stock" ? "stock QEMU" : "Godwit"}`;
    groups.set(title, [...(groups.get(title) ?? []), row]);
  }
  return [...groups];
}

function verdictOf({ seen, kept }: FaultRow): string {
  if (seen === null) return "no case";
  if (kept === null) return "seen";
  return kept ? "kept" : "BROKEN";
}

function why({ promise, seen }: FaultRow): string {
  const complaints = promise === null || seen === null ? [] : broken(promise, seen);
  return complaints.length === 0 ? "" : `; ${complaints.join(", ")}`;
}

function sawText(seen: FaultSeen): string {
  const parts = [`runs: ${runsText(seen)}`, `oracle ${seen.oracle}`, saidText(seen), `again: ${seen.again}`];
  if (seen.note !== undefined) parts.push(seen.note);
  return `${parts.join(", ")} (${(seen.settledMs / 1000).toFixed(1)} s)`;
}

function runsText({ runs, everBoth }: FaultSeen): string {
  return everBoth && runs !== "both" ? `${runs}, both for a time` : runs;
}

function saidText({ status, error, truthful }: FaultSeen): string {
  return `${status}${error === null ? "" : ` ${error}`}${truthful ? "" : " (untrue)"}`;
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...lines.map(row)].join("\n");
}
