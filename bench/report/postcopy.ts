/** Post-copy: what the guest had to ask for and to wait for, beside stock QEMU's variants, and by order of pushes. */
import {
  type BenchResult,
  type Cell,
  FIGURES,
  type FigureName,
  type Ledger,
  type PagingWork,
  summary,
} from "../../src/bench/mod.ts";
import { AIMS, type Aim, aimRatio, PLAIN_POSTCOPY, ramByLinkMs, TUNED_POSTCOPY } from "../aims.ts";
import { faultShareOf, networkFaults } from "../ledger/mod.ts";
import { type Standing, standings, summaryOf } from "./standing.ts";
import { endOfPrecopy, type Table, type TableRow } from "./tables.ts";
import { amount, digits } from "./units.ts";

const NONE = "–";
const OURS = "godwit-postcopy";
const HYBRID = "godwit-hybrid";

export interface Section {
  readonly title: string;
  readonly table: Table;
  readonly note: string;
}

/** Those that the result has the cells and systems for. */
export function postcopySections(result: BenchResult): Section[] {
  const cells = result.cells.map((cell) => ({ cell, all: standings(result, cell.name) }));
  const sections: (Omit<Section, "table"> & { readonly table: Table | null })[] = [
    {
      title: "Post-copy against stock",
      table: againstStockTable(cells),
      note: `Medians. Plain is ${PLAIN_POSTCOPY}, the best tuned the least of ${TUNED_POSTCOPY.join(" and ")} that was measured, the best of them the least of all three, each for its figure. Systems that failed a move in a cell have no ratio there. The blackout is the longest gap in the guest's heartbeat over the whole move; the gap after RESUME is of the time from when the target ran the guest.`,
    },
    {
      title: "Push orders side by side",
      table: pushOrderTable(cells),
      note: "Medians. Network faults are the pages that crossed because the guest asked for them, in percent of the pages that it works on; where QEMU served its guest itself, all requests. Waits are from the request at the target to the page in QEMU's hands.",
    },
    {
      title: "Aims",
      table: aimTable(cells),
      note: "The system's median by what it is set against, cell by cell: each has to reach the aim. Where a system failed a move there is no ratio, and an aim of that system is missed.",
    },
  ];
  return sections.flatMap(({ table, ...rest }) => (table === null ? [] : [{ table, ...rest }]));
}

interface Measured {
  readonly cell: Cell;
  readonly all: readonly Standing[];
}

/** What the guest asked for in one cell, system by system; null where nobody was asked. */
export function pagingTable(cell: Cell, all: readonly Standing[]): Table | null {
  const rows = all.flatMap(({ system, completed }): TableRow[] => {
    const ledgers = completed.map(({ ledger }) => ledger);
    if (!ledgers.some(({ paging, requests }) => paging != null || (requests ?? 0) > 0)) return [];
    const paging = ledgers.flatMap((ledger) => ledger.paging ?? []);
    const of = (get: (work: PagingWork) => number | null) => whole(paging.flatMap((work) => get(work) ?? []));
    return [
      {
        kind: system.family,
        cells: [
          system.name,
          [...new Set(paging.map(({ order }) => order))].join(", ") || "QEMU's own",
          whole(ledgers.flatMap(({ requests }) => requests ?? [])),
          whole(ledgers.flatMap((ledger) => networkFaults(ledger) ?? [])),
          percent(ledgers.flatMap((ledger) => faultShareOf(ledger, cell) ?? [])),
          percent(
            paging.flatMap((work) => (work.outstanding === 0 ? [] : [work.answered / work.outstanding])),
          ),
          of(({ pushed }) => pushed),
          of(({ late }) => late),
          of(({ passedOn }) => passedOn),
          waits(paging),
          times(paging.flatMap(({ drainMs }) => drainMs ?? [])),
          paging.length === 0 ? NONE : amount(middle(paging.map((work) => work.poolBytesMax)), "bytes"),
        ],
      },
    ];
  });
  if (rows.length === 0) return null;
  return {
    head: [
      "system",
      "push order",
      "requests",
      "network faults",
      "of the working set",
      "of what was missing",
      "pushed",
      "on their way already",
      "passed on to QEMU",
      "waited p50 / p95 / p99 / longest, ms",
      "drained after",
      "pool at most",
    ],
    rows,
  };
}

/** Null: no cell has plain post-copy beside one of ours. */
function againstStockTable(cells: readonly Measured[]): Table | null {
  const names = [PLAIN_POSTCOPY, ...TUNED_POSTCOPY, OURS, HYBRID];
  const rows = cells.flatMap(({ cell, all }) => {
    const here = all.filter(({ system }) => names.includes(system.name));
    const has = (name: string) => here.some(({ system }) => system.name === name);
    if (!has(PLAIN_POSTCOPY) || !(has(OURS) || has(HYBRID))) return [];
    const least = (systems: readonly string[], figure: FigureName): number | null => {
      const found = here
        .filter(({ system, failed }) => systems.includes(system.name) && failed.length === 0)
        .flatMap((standing) => summaryOf(standing, figure)?.median ?? []);
      return found.length === 0 ? null : Math.min(...found);
    };
    const stock = [PLAIN_POSTCOPY, ...TUNED_POSTCOPY];
    return here.map((standing): TableRow => {
      const { name, family } = standing.system;
      const own = (figure: FigureName) => (standing.failed.length > 0 ? null : least([name], figure));
      const by = (figure: FigureName, systems: readonly string[]) =>
        ratioText(own(figure), least(systems, figure));
      const failed = standing.failed.length === 0 ? "" : `, ${standing.failed.length} failed`;
      return {
        kind: family,
        cells: [
          cell.name,
          `${name}${failed}`,
          endOfPrecopy(standing),
          timeOf(summaryOf(standing, "blackoutMs")?.median ?? null),
          timeOf(summaryOf(standing, "gapAfterResumeMs")?.median ?? null),
          by("blackoutMs", [PLAIN_POSTCOPY]),
          by("blackoutMs", TUNED_POSTCOPY),
          by("totalTimeMs", stock),
          by("wireBytes", stock),
          ratioText(own("totalTimeMs"), ramByLinkMs(cell)),
        ],
      };
    });
  });
  if (rows.length === 0) return null;
  return {
    head: [
      "cell",
      "system",
      "pre-copy ended by",
      "blackout",
      "longest gap after RESUME",
      "blackout / plain",
      "blackout / the best tuned",
      "total time / the best of them",
      "bytes / the best of them",
      "total time / (RAM / link)",
    ],
    rows,
  };
}

/** What is compared of the orders, a row each. */
const BY_ORDER: readonly {
  readonly label: string;
  readonly of: (ledger: Ledger, cell: Cell) => number | null;
  readonly text: (values: readonly number[]) => string;
}[] = [
  { label: "network faults, of the working set", of: faultShareOf, text: percent },
  { label: "p95 of the waits", of: (l) => l.paging?.faultTimes?.p95Ms ?? null, text: times },
  { label: FIGURES.gapAfterResumeMs.label, of: FIGURES.gapAfterResumeMs.of, text: times },
  { label: FIGURES.blackoutMs.label, of: FIGURES.blackoutMs.of, text: times },
  { label: FIGURES.totalTimeMs.label, of: FIGURES.totalTimeMs.of, text: times },
];

/** Null: no cell was measured with two orders. */
function pushOrderTable(cells: readonly Measured[]): Table | null {
  const compared = cells
    .map(({ cell, all }) => ({ cell, all: all.filter(({ system }) => orderOf(system.name) !== null) }))
    .filter(({ all }) => all.length > 1);
  const orders = [
    ...new Set(compared.flatMap(({ all }) => all.flatMap(({ system }) => orderOf(system.name) ?? []))),
  ];
  if (orders.length === 0) return null;
  const rows = compared.flatMap(({ cell, all }) =>
    BY_ORDER.map(
      ({ label, of, text }): TableRow => ({
        kind: "plain",
        cells: [
          cell.name,
          label,
          ...orders.map((order) => {
            const standing = all.find(({ system }) => orderOf(system.name) === order);
            if (standing === undefined) return NONE;
            const failed = standing.failed.length === 0 ? "" : ` (${standing.failed.length} failed)`;
            return `${text(standing.completed.flatMap(({ ledger }) => of(ledger, cell) ?? []))}${failed}`;
          }),
        ],
      }),
    ),
  );
  return { head: ["cell", "figure", ...orders], rows };
}

/** Of a system that is one order of pushes; null: it is something else. */
function orderOf(system: string): string | null {
  if (system === OURS) return "auto";
  return system.startsWith(`${OURS}-`) ? system.slice(OURS.length + 1) : null;
}

/** Null: not one of the aims' cells was measured with its system. */
function aimTable(cells: readonly Measured[]): Table | null {
  const rows = AIMS.flatMap((aim) => aimRow(aim, cells) ?? []);
  if (rows.length === 0) return null;
  return { head: ["aim", "system", "figure", "against", "at most", "here", ""], rows };
}

function aimRow(aim: Aim, cells: readonly Measured[]): TableRow | null {
  const here = cells
    .filter(({ cell }) => aim.cells.includes(cell.name))
    .filter(({ all }) => all.some(({ system }) => system.name === aim.system));
  if (here.length === 0) return null;
  const found = here.map(({ cell, all }) => ({
    name: cell.name,
    failed: all.some(({ system, failed }) => system.name === aim.system && failed.length > 0),
    ratio: aimRatio(aim, cell, (name, of) => {
      const standing = all.find(({ system }) => system.name === name);
      if (standing === undefined || standing.failed.length > 0) return null;
      const values = standing.completed.flatMap(({ ledger }) => of(ledger, cell) ?? []);
      return values.length === 0 ? null : summary(values);
    }),
  }));
  const missed = found.some(({ ratio, failed }) => failed || (ratio !== null && ratio > aim.ratio));
  const verdict = missed ? "missed" : found.every(({ ratio }) => ratio !== null) ? "held" : "not comparable";
  return {
    kind: verdict === "held" ? "godwit" : missed ? "stock" : "plain",
    cells: [
      aim.about,
      aim.system,
      aim.figure,
      aim.against.name,
      `${aim.ratio}`,
      found.map(({ name, ratio }) => `${name} ${ratio === null ? NONE : digits(ratio)}`).join("; "),
      verdict,
    ],
  };
}

function ratioText(own: number | null, base: number | null): string {
  return own === null || base === null || base <= 0 ? NONE : digits(own / base);
}

function timeOf(value: number | null): string {
  return value === null ? NONE : amount(value, "ms");
}

/** At least one. */
function middle(values: readonly number[]): number {
  return summary(values).median;
}

function times(values: readonly number[]): string {
  return values.length === 0 ? NONE : amount(middle(values), "ms");
}

function whole(values: readonly number[]): string {
  return values.length === 0 ? NONE : String(Math.round(middle(values)));
}

function percent(shares: readonly number[]): string {
  return shares.length === 0 ? NONE : `${digits(middle(shares) * 100)} %`;
}

function waits(paging: readonly PagingWork[]): string {
  const known = paging.flatMap(({ faultTimes }) => faultTimes ?? []);
  if (known.length === 0) return NONE;
  return (["p50Ms", "p95Ms", "p99Ms", "maxMs"] as const)
    .map((name) => digits(middle(known.map((seen) => seen[name]))))
    .join(" / ");
}
