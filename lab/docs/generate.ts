/**
 * Writes the documents that are tables of the code: docs/states.md and docs/errors.md.
 * `npm run docs`; a unit test fails while a committed document differs.
 */
import { writeFileSync } from "node:fs";
import { ABOUT, type ErrorCode, EXIT } from "../../src/errors/mod.ts";
import { SOURCE_EDGES, SOURCE_MAY_RUN, TARGET_EDGES, TARGET_MAY_RUN } from "../../src/migration/mod.ts";

type Edges = Record<string, { readonly about: string; readonly to: Record<string, string | undefined> }>;

/** Path below the repository and text of each generated document. */
export function generatedDocs(): { readonly path: string; readonly text: string }[] {
  return [
    { path: "docs/states.md", text: statesDoc() },
    { path: "docs/errors.md", text: errorsDoc() },
  ];
}

function statesDoc(): string {
  return `# States of a migration

Generated from \`src/migration/phases.ts\` by \`npm run docs\`. A step along an edge that is not here is a bug and throws.

At most one side may run the guest: no source phase marked "may run" ever coexists with a target phase marked so
(checked by \`test/property/migration-joint.test.ts\`). The target agent is the arbiter: it records \`committed\` on its
disk before it sends \`cont\`, and what it has recorded decides.

## Source
${side(SOURCE_EDGES as Edges, SOURCE_MAY_RUN, "preparing")}
## Target
${side(TARGET_EDGES as Edges, TARGET_MAY_RUN, "preparing")}`;
}

function side(edges: Edges, mayRun: ReadonlySet<string>, first: string): string {
  const lines = Object.entries(edges).flatMap(([from, { to }]) => {
    const next = Object.keys(to);
    return next.length === 0 ? [`  ${from} --> [*]`] : next.map((phase) => `  ${from} --> ${phase}`);
  });
  const rows = Object.entries(edges).map(([phase, { about, to }]) => {
    const next = Object.entries(to).map(([name, why]) => `**${name}**: ${why}`);
    return `| ${phase} | ${mayRun.has(phase) ? "may run" : ""} | ${about} | ${next.join("<br>") || "(end)"} |`;
  });
  return `
\`\`\`mermaid
stateDiagram-v2
  [*] --> ${first}
${lines.join("\n")}
\`\`\`

| phase | its vCPUs | meaning | next: why |
|---|---|---|---|
${rows.join("\n")}

`;
}

function errorsDoc(): string {
  const exits = Object.entries(EXIT).map(([name, code]) => `${code} ${name}`);
  const rows = (Object.keys(ABOUT) as ErrorCode[]).sort().map((code) => {
    const { http, exit, retry, say, wayOut } = ABOUT[code];
    return `| \`${code}\` | ${exit} | ${http} | ${retry ? "yes" : "no"} | ${cell(sentence(say))} | ${cell(wayOut)} |`;
  });
  return `# Errors

Generated from \`src/errors/table.ts\` by \`npm run docs\`. Match on the code, never on the text.
Exit codes: ${exits.join(", ")}. A migration's exit code follows its report's \`status\`.

| code | exit | HTTP | worth a retry | sentence | way out |
|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

/** The sentence with the names of its fields in place of values. */
function sentence(say: (fields: never) => string): string {
  const names = new Proxy({}, { get: (_, name) => (typeof name === "string" ? `{${name}}` : undefined) });
  return say(names as never);
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

if (import.meta.main) {
  for (const { path, text } of generatedDocs())
    writeFileSync(new URL(`../../${path}`, import.meta.url), text);
}
