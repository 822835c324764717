/** The parts of a report for people that say what the page engine did, and why pre-copy ended. */
import { RULES, type SwitchoverFacts } from "../migration/mod.ts";
import { type EngineFigures, PAGE_FORMS } from "../pages/mod.ts";
import { bytes, table, time } from "./show.ts";

/** Of many decisions the last ones say why it ended, or why not. */
const DECISIONS_SHOWN = 5;

/** A table of forms, then what did not cross, and the CPU time by stage. */
export function engineLines(engine: EngineFigures): string[] {
  const { name, policy, cacheBytes, forms, packed, stageMs } = engine;
  const used = PAGE_FORMS.filter((form) => forms[form].pages > 0);
  const rows = used.map((form) => {
    const { pages, bytes: size } = forms[form];
    return [form, String(pages), bytes(size), bytes(Math.round(size / pages))];
  });
  const counts = [
    ...some(engine.passed, "as QEMU sent them"),
    ...some(engine.unchanged, "unchanged"),
    ...some(engine.superseded, "superseded"),
    ...some(engine.repaired, "sent again for a lost base"),
  ];
  const stages = Object.entries(stageMs).flatMap(([stage, ms]) =>
    ms === null ? [] : [`${stage} ${time(ms)}`],
  );
  return [
    `engine ${name}, policy ${policy}, page cache ${bytes(cacheBytes)}`,
    ...(rows.length === 0 ? [] : table(["FORM", "PAGES", "BYTES", "PER PAGE"], rows).split("\n").map(indent)),
    ...(packed.batches === 0
      ? []
      : [`zstd: ${packed.batches} batches, ${bytes(packed.unpackedBytes)} became ${bytes(packed.bytes)}`]),
    ...(counts.length === 0 ? [] : [`pages ${counts.join(", ")}`]),
    ...(stages.length === 0 ? [] : [`CPU ${stages.join(", ")}`]),
  ];
}

/** The rule that ended pre-copy, and the last decisions. */
export function switchoverLines({ rule, decisions }: SwitchoverFacts): string[] {
  const because = RULES.find(({ name }) => name === rule)?.because;
  const head = rule === null ? "pre-copy was not ended" : `pre-copy ended by rule ${rule}`;
  const shown = decisions
    .slice(-DECISIONS_SHOWN)
    .map((decision) => [
      time(decision.atMs),
      String(decision.pass),
      decision.rule,
      time(decision.expectedDowntimeMs),
    ]);
  const rows = table(["AT", "PASS", "RULE", "A STOP THEN"], shown).split("\n").map(indent);
  return [because === undefined ? head : `${head}: ${because}`, ...rows];
}

function some(count: number, what: string): string[] {
  return count === 0 ? [] : [`${what} ${count}`];
}

function indent(line: string): string {
  return `  ${line}`;
}
