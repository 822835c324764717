/** The report's tables as Markdown. */
import { type BenchResult, FIGURES } from "../../src/bench/mod.ts";
import { engineTable } from "./engines.ts";
import { factsOf, warningsOf } from "./head.ts";
import { pagingTable, postcopySections } from "./postcopy.ts";
import { paperTable, RATIO_FIGURES, RATIO_RULE, ratioTable } from "./ratios.ts";
import { claimOf, RULE, standings } from "./standing.ts";
import { CLAIMED, claimTable, clientTable, floorText, systemTable, type Table } from "./tables.ts";
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
    ...ratioParts(result),
    ...postcopySections(result).flatMap(({ title, table, note }) => [`### ${title}`, tableText(table), note]),
    ...cells.flatMap(({ cell, all }) => {
      const client = clientTable(cell, all);
      const engines = engineTable(all);
      const paging = pagingTable(cell, all);
      return [
        `### ${cell.name}`,
        `${cell.about} (${cell.memoryMib} MiB, link ${linkText(cell.link)})`,
        tableText(systemTable(all, cell.floor)),
        ...(cell.floor === undefined ? [] : [floorText(cell.floor)]),
        ...(engines === null ? [] : ["Page engine, medians:", tableText(engines)]),
        ...(paging === null ? [] : ["Post-copy, medians:", tableText(paging)]),
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

/** Against the best stock system by figure, and against the papers. */
function ratioParts(result: BenchResult): string[] {
  const papers = paperTable(result);
  const tables = RATIO_FIGURES.flatMap((figure) => {
    const table = ratioTable(result, figure);
    return table === null ? [] : [`**${FIGURES[figure].label}**`, tableText(table)];
  });
  return [
    ...(tables.length === 0 ? [] : ["### Against the best stock mode", ...tables, RATIO_RULE]),
    ...(papers === null ? [] : ["### What papers claim", tableText(papers)]),
  ];
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
