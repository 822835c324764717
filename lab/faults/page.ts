/** docs/faults.md: what a person wrote above the mark stays, the tables below it are made from the kept results. */
import { readFileSync, writeFileSync } from "node:fs";
import { type FaultResult, keptResults } from "./result.ts";
import { tablesOf } from "./table.ts";

const PAGE = new URL("../../docs/faults.md", import.meta.url);
const MARK = "<!-- Below this line: `npm run faults -- --page`, from lab/faults/results. -->";

/** The page as it has to be, and as it is. Throws when it has no mark. */
export function faultsPage(): { readonly is: string; readonly shouldBe: string } {
  const is = readFileSync(PAGE, "utf8");
  const at = is.indexOf(MARK);
  if (at < 0) throw new Error(`docs/faults.md has no line ${MARK}`);
  const parts = keptResults().map(({ name, result }) => partOf(name, result));
  return { is, shouldBe: `${is.slice(0, at)}${MARK}\n\n${parts.join("\n\n")}\n` };
}

/** Writes the page anew. */
export function writeFaultsPage(): void {
  writeFileSync(PAGE, faultsPage().shouldBe);
}

function partOf(name: string, { command, machine, rows }: FaultResult): string {
  const days = [...new Set(rows.map(({ at }) => at.slice(0, 10)))].sort();
  const when = days.length > 1 ? `${days[0]} to ${days.at(-1)}` : days[0];
  const where = `${machine.cpus} processors, Linux ${machine.kernel}, Node ${machine.node}`;
  return `## ${name}\n\n\`${command}\`, ${when}, ${where}.\n\n${tablesOf(rows)}`;
}
