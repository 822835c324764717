import { ALPHA, CHANGE_LEAST, type ComparedRow, type Comparison } from "./compare.ts";
import { FIGURES } from "./figures.ts";

/** A comparison as a table for people, with the rule by which it judges. */
export function comparisonText(comparison: Comparison): string {
  const { rows, cells, notes } = comparison;
  const table = [
    ["system", "figure", "B against A", "samples", "p", "verdict"],
    ...rows.map((row) => [
      row.system,
      row.metric === "failed" ? "failed moves" : FIGURES[row.metric].label,
      changeText(row),
      `${row.samples.a} and ${row.samples.b}`,
      row.p === null ? "-" : row.p < 0.0001 ? "< 0.0001" : row.p.toFixed(4),
      row.words,
    ]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
  const lines = table.map((cells) =>
    cells
      .map((text, i) => text.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
  const absolute = rows.some((row) => row.basis === "absolute" && row.metric !== "failed");
  return [
    `${cells.length} common ${cells.length === 1 ? "cell" : "cells"}: ${cells.join(", ")}`,
    "",
    ...lines,
    "",
    `Told apart: corrected p < ${ALPHA} and a change of more than ${CHANGE_LEAST * 100} %.`,
    "Figures of Godwit are relative to a stock system of the same repeat, unless marked with *.",
    ...(rows.some(({ verdict }) => verdict === "not enough samples")
      ? ["Not enough samples: measure with more repeats (--repeat) or compare fewer figures (--metric)."]
      : []),
    ...(absolute ? ["* as measured: a machine that was slower that day shows as well"] : []),
    ...notes.map((note) => `Note: ${note}`),
  ].join("\n");
}

function changeText({ metric, change, basis }: ComparedRow): string {
  if (change === null) return "-";
  const percent = `${change < 0 ? "-" : "+"}${Math.abs(change * 100).toFixed(1)}`;
  if (metric === "failed") return `${percent} points`;
  return `${percent} %${basis === "absolute" ? " *" : ""}`;
}
