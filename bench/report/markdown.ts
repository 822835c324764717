/** The report's tables as Markdown. */
import type { BenchResult } from "../../src/bench/mod.ts";
import { factsOf, warningsOf } from "./head.ts";
import { claimOf, RULE, standings } from "./standing.ts";
import { CLAIMED, claimTable, clientTable, systemTable, type Table } from "./tables.ts";
import { linkText } from "./units.ts";

/** The whole text, which begins with a heading of the second level. */
export function markdownOf(result: BenchResult): string {
  const cells = result.cells
    .map((cell) => ({ cell, all: standings(result, cell.name) }))
    .filter(({ all }) => all.length > 0);
  const claims = cells.flatMap(({ cell, all }) =>
    claimTable(CLAIMED.map((figure) => claimOf(all, figure))).rows.map((row) => [cell.name, ...row.cells]),
  );
  const failed = result.samples.filter(({ outcome }) => outcome === "failed");
  const parts = [
    `## Godwit beside stock QEMU, ${result.startedAt.slice(0, 10)}`,
    ...warningsOf(result).map((text) => `**${text}**`),
    factsOf(result)
      .map(([name, text]) => `- ${name}: ${name === "Command" ? `\`${text}\`` : text}`)
      .join("\n"),
    "### Who wins",
    markdownTable(["cell", "figure", "best Godwit", "best stock", "Godwit / stock", "verdict"], claims),
    RULE,
    ...cells.flatMap(({ cell, all }) => {
      const client = clientTable(cell, all);
      return [
        `### ${cell.name}`,
        `${cell.about} (${cell.memoryMib} MiB, link ${linkText(cell.link)})`,
        tableText(systemTable(all)),
        ...(client === null ? [] : [tableText(client)]),
      ];
    }),
    ...(result.skipped.length === 0
      ? []
      : [
          "### Skipped",
          result.skipped
            .map(
              ({ system, cell, reason }) =>
                `- ${system} ${cell === null ? "in all cells" : `in ${cell}`}: ${reason}`,
            )
            .join("\n"),
        ]),
    ...(failed.length === 0
      ? []
      : [
          "### Failed",
          failed
            .map(
              ({ system, cell, repeat, error }) =>
                `- ${system} in ${cell}, repeat ${repeat + 1}: ${error ?? "?"}`,
            )
            .join("\n"),
        ]),
  ];
  return `${parts.join("\n\n")}\n`;
}

function tableText({ head, rows }: Table): string {
  return markdownTable(
    head,
    rows.map(({ cells }) => cells),
  );
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text) => text.replace(/\|/g, "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
