/** The figures as tables: the same cells for the page and for Markdown. */
import {
  type Cell,
  type ClientFigures,
  FIGURES,
  type FigureName,
  type Floor,
  summary,
} from "../../src/bench/mod.ts";
import { type Best, type Claim, type Standing, summaryOf, type Winner } from "./standing.ts";
import { amount, bare, digits, plain, spread, unitFor } from "./units.ts";

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly TableRow[];
}

export interface TableRow {
  readonly cells: readonly string[];
  /** Of the row or, where the row is about a comparison, of its winner. */
  readonly kind: "godwit" | "stock" | "noise" | "plain";
}

/** What the claims are made about. */
export const CLAIMED: readonly FigureName[] = [
  "totalTimeMs",
  "downtimeMs",
  "blackoutMs",
  "wireBytes",
  "cpuMs",
  "longestStallMs",
];

const WINNERS: Readonly<Record<Winner, string>> = {
  godwit: "Godwit is better",
  stock: "stock is better",
  noise: "within the noise",
  "few samples": "too few samples to say",
  "only godwit": "only Godwit completed every move",
  "only stock": "only stock completed every move",
  none: "not comparable",
};

/** The winner per figure of one cell, and our ratio. */
export function claimTable(claims: readonly Claim[]): Table {
  const shown = claims.filter(({ godwit, stock }) => godwit !== null || stock !== null);
  return {
    head: ["figure", "best Godwit", "best stock", "Godwit / stock", "verdict"],
    rows: shown.map(({ figure, godwit, stock, ratio, winner }) => ({
      kind: kindOf(winner),
      cells: [
        FIGURES[figure].label,
        bestText(figure, godwit, stock),
        bestText(figure, stock, godwit),
        ratio === null ? "–" : `${digits(ratio.median)} (${digits(ratio.least)} – ${digits(ratio.most)})`,
        WINNERS[winner],
      ],
    })),
  };
}

/** Both in the unit of the larger. */
function bestText(figure: FigureName, best: Best | null, other: Best | null): string {
  if (best === null) return "–";
  const unit = unitFor(FIGURES[figure].unit, Math.max(best.summary.median, other?.summary.median ?? 0));
  return `${bare(best.summary.median, unit)} ${unit.name}, ${best.system.name}`;
}

/** How a verdict is marked. */
export function kindOf(winner: Winner): TableRow["kind"] {
  if (winner === "godwit" || winner === "only godwit") return "godwit";
  if (winner === "stock" || winner === "only stock") return "stock";
  return winner === "noise" ? "noise" : "plain";
}

const COLUMNS: readonly FigureName[] = [
  "totalTimeMs",
  "migrateTimeMs",
  "downtimeMs",
  "blackoutMs",
  "gapAfterResumeMs",
  "wireBytes",
  "cpuMs",
  "energyJoules",
];
/** Results of before have none. */
const MAY_LACK: ReadonlySet<FigureName> = new Set(["gapAfterResumeMs"]);

/** What `floor` has in the columns of a system. */
const FLOOR: Partial<Record<FigureName, (floor: Floor) => number | null>> = {
  migrateTimeMs: ({ linkMs }) => linkMs,
  wireBytes: ({ packedBytes }) => packedBytes,
};

/** Every system's median and spread; last the floor, where it was measured. */
export function systemTable(all: readonly Standing[], floor?: Floor): Table {
  const columns = COLUMNS.filter(
    (name) => !MAY_LACK.has(name) || all.some((standing) => summaryOf(standing, name) !== null),
  );
  const units = columns.map((name) =>
    unitFor(FIGURES[name].unit, Math.max(0, ...all.map((standing) => summaryOf(standing, name)?.most ?? 0))),
  );
  return {
    head: [
      "system",
      "completed",
      ...columns.map((name, i) => `${FIGURES[name].label}, ${units[i]!.name}`),
      "passes",
      "extra memory, MiB",
      "memory verified",
      "pre-copy ended by",
    ],
    rows: [...all.map(systemRow), ...(floor === undefined ? [] : [floorRow(floor)])],
  };

  function systemRow(standing: Standing): TableRow {
    return {
      kind: standing.system.family,
      cells: [
        standing.system.name,
        `${standing.completed.length} of ${standing.samples.length}`,
        ...columns.map((name, i) => {
          const found = summaryOf(standing, name);
          return found === null ? "–" : spread(found, units[i]!);
        }),
        middle(standing.completed.flatMap(({ ledger }) => ledger.passes ?? [])),
        middle(
          standing.completed.map(
            ({ ledger }) => (ledger.extraRssBytes.source + ledger.extraRssBytes.target) / 2 ** 20,
          ),
        ),
        verifiedText(standing),
        endOfPrecopy(standing),
      ],
    };
  }

  function floorRow(of: Floor): TableRow {
    const figures = columns.map((name, i) => {
      const value = FLOOR[name]?.(of) ?? null;
      return value === null ? "–" : bare(value, units[i]!);
    });
    return { kind: "plain", cells: ["floor", "–", ...figures, "–", "–", "–", "–"] };
  }
}

/** What a system did in a cell: the rules that ended pre-copy of its completed moves. */
export function endOfPrecopy({ completed }: Standing): string {
  const rules = completed.flatMap(({ ledger }) => ledger.switchover?.rule ?? []);
  const counted = [...new Set(rules)].map((rule) => ({
    rule,
    count: rules.filter((other) => other === rule).length,
  }));
  if (counted.length < 2) return counted[0]?.rule ?? "–";
  return counted.map(({ rule, count }) => `${rule} ${count}×`).join(", ");
}

function middle(values: readonly number[]): string {
  return values.length === 0 ? "–" : digits(summary(values).median).replace(/\.0+$/, "");
}

/** By the guest's own oracle, and by the digests where the system has them. */
function verifiedText({ completed }: Standing): string {
  if (completed.length === 0) return "–";
  const clean = completed.filter(({ oracleClean }) => oracleClean === true).length;
  const unknown = completed.filter(({ oracleClean }) => oracleClean === null).length;
  const equal = completed.filter(({ equal }) => equal === true).length;
  const guest = `guest ${clean}/${completed.length}${unknown > 0 ? ` (${unknown} not known)` : ""}`;
  return completed.every((sample) => sample.equal === null)
    ? guest
    : `${guest}, digests ${equal}/${completed.length}`;
}

/** What the client saw; null where the cell's load has none. */
export function clientTable(cell: Cell, all: readonly Standing[]): Table | null {
  const rows = all.flatMap((standing) => {
    const seen = standing.completed.flatMap(({ ledger }) => ledger.client ?? []);
    return seen.length === 0
      ? []
      : [{ kind: standing.system.family, cells: [standing.system.name, ...clientCells(seen)] }];
  });
  if (rows.length === 0) return null;
  return {
    head: [
      "system",
      "per second before",
      "during",
      "after",
      "throughput loss",
      "p50 / p99 before, ms",
      "p50 / p99 during, ms",
      "longest stall",
      "requests lost",
      "connections lost",
      `windows over ${plain(cell.slaLimitMs)} ms`,
    ],
    rows,
  };
}

function clientCells(seen: readonly ClientFigures[]): string[] {
  const perSec = (phase: "before" | "during" | "after") => middle(seen.map((client) => client[phase].perSec));
  const latency = (phase: "before" | "during") => {
    const found = seen.flatMap((client) => client[phase].latencyMs ?? []);
    return `${middle(found.map(({ p50 }) => p50))} / ${middle(found.map(({ p99 }) => p99))}`;
  };
  const losses = seen.flatMap(({ throughputLoss }) => throughputLoss ?? []);
  const stall = summary(seen.map(({ longestStallMs }) => longestStallMs));
  const stallUnit = unitFor("ms", stall.most);
  return [
    perSec("before"),
    perSec("during"),
    perSec("after"),
    losses.length === 0 ? "–" : `${digits(summary(losses).median * 100)} %`,
    latency("before"),
    latency("during"),
    `${spread(stall, stallUnit)} ${stallUnit.name}`,
    summed(seen.map(({ requestsLost }) => requestsLost)),
    summed(seen.map(({ connectionsLost }) => connectionsLost)),
    `${sum(seen.map(({ slaWindows }) => slaWindows.missed))} of ${sum(seen.map(({ slaWindows }) => slaWindows.of))}`,
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** Of all moves together: one that is lost must not vanish in a median. */
function summed(values: readonly (number | null)[]): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? "–" : String(sum(known));
}

/** What the floor of a cell is, in a sentence. */
export function floorText(floor: Floor): string {
  const { memoryBytes, nonzeroPages, distinctPages, packedBytes } = floor;
  return `Floor: the guest's memory before its first move (${amount(memoryBytes, "bytes")}) had ${nonzeroPages} pages that are not zero, ${distinctPages} different ones; zstd packs those to ${amount(packedBytes, "bytes")} at level 19 with one window over all. That is an upper bound of what they say, told once; what the guest writes while it moves comes on top. Its time is that of these bytes on the link.`;
}
