/** What Godwit's page engine did in a cell. */
import { type EngineWork, summary } from "../../src/bench/mod.ts";
import type { Standing } from "./standing.ts";
import type { Table } from "./tables.ts";
import { amount, digits } from "./units.ts";

const FORMS = ["zero", "same", "delta", "sparse", "wkdm", "raw"];

/** Medians over the completed moves of each system that has an engine; null where none has. */
export function engineTable(all: readonly Standing[]): Table | null {
  const rows = all.flatMap(({ system, completed }) => {
    const seen = completed.flatMap(({ ledger }) => ledger.engine ?? []);
    if (seen.length === 0) return [];
    const middle = (of: (work: EngineWork) => number) => summary(seen.map(of)).median;
    const whole = (of: (work: EngineWork) => number) => String(Math.round(middle(of)));
    return [
      {
        kind: system.family,
        cells: [
          system.name,
          [...new Set(seen.map(({ name, policy }) => `${name}, ${policy}`))].join("; "),
          ...FORMS.map((form) => {
            const pages = middle((work) => work.forms[form]?.pages ?? 0);
            const bytes = middle((work) => work.forms[form]?.bytes ?? 0);
            return pages === 0 ? "–" : `${Math.round(pages)}, ${amount(bytes, "bytes")}`;
          }),
          packedText(middle, seen),
          whole((work) => work.unchanged),
          whole((work) => work.superseded),
          whole((work) => work.passed),
          whole((work) => work.repaired),
          `${stage(seen, "encode")} + ${stage(seen, "pack")}`,
        ],
      },
    ];
  });
  if (rows.length === 0) return null;
  return {
    head: [
      "system",
      "engine, policy",
      ...FORMS.map((form) => `${form}: pages, bytes`),
      "packed by zstd",
      "unchanged",
      "superseded",
      "passed as they came",
      "repaired",
      "encode + pack, CPU ms",
    ],
    rows,
  };
}

function packedText(
  middle: (of: (work: EngineWork) => number) => number,
  seen: readonly EngineWork[],
): string {
  if (seen.every(({ packed }) => packed.batches === 0)) return "–";
  const from = middle(({ packed }) => packed.unpackedBytes);
  const to = middle(({ packed }) => packed.bytes);
  return `${amount(from, "bytes")} to ${amount(to, "bytes")}`;
}

function stage(seen: readonly EngineWork[], name: string): string {
  const known = seen.flatMap(({ stageMs }) => stageMs[name] ?? []);
  return known.length === 0 ? "–" : digits(summary(known).median);
}
