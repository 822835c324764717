/**
 * What holding pages back saves, by policy: a simulation (docs/policies.md says what it leaves out). Per guest and link the
 * figures of each policy, beside stream order.
 *
 * node bench/policies/main.ts [--seeds 3] [--room 0.33] [--passes N] [--link NAME] [--peek] [--fakes] [--json]
 */
import { parseArgs } from "node:util";
import { buildKernels } from "../../kernels/build.ts";
import { loadKernels } from "../../kernels/mod.ts";
import { GUESTS } from "./guests.ts";
import { type Outcome, simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    room: { type: "string", default: "0.33" },
    peek: { type: "boolean", default: false },
    fakes: { type: "boolean", default: false },
    link: { type: "string" },
    passes: { type: "string", default: "1000" },
    json: { type: "boolean", default: false },
  },
});

/** Pages per second of the links' 100 Mbit/s and 1 Gbit/s, raw. */
const LINKS = [
  ["100 Mbit", 3000],
  ["1 Gbit", 30_000],
] as const;
const POLICIES = ["stream", "rapid", "weight", "reuse"] as const;
const DOWNTIME_SEC = 0.3;

await buildKernels();
const kernels = loadKernels({ memoryBytes: 128 * 2 ** 20 });

const mean = (runs: readonly Outcome[], of: (run: Outcome) => number): number =>
  runs.reduce((sum, run) => sum + of(run), 0) / runs.length;

const links = LINKS.filter(([name]) => values.link === undefined || name === values.link);
const rows = links.flatMap(([link, linkPagesPerSec]) =>
  GUESTS.flatMap((guest) =>
    POLICIES.map((policy) => {
      const runs = Array.from({ length: Number(values.seeds) }, (_, seed) =>
        simulate(
          {
            guest,
            policy,
            linkPagesPerSec,
            downtimeSec: DOWNTIME_SEC,
            roomOfDowntime: Number(values.room),
            passesMax: Number(values.passes),
            peeks: values.peek,
            skipsUnchanged: !values.fakes,
            seed,
          },
          kernels,
        ),
      );
      return {
        link,
        guest: guest.name,
        policy,
        seconds: mean(runs, (run) => run.seconds),
        pages: mean(runs, (run) => run.pages),
        downtimeMs: mean(runs, (run) => run.downtimeMs),
        passes: mean(runs, (run) => run.passes),
        heldMost: mean(runs, (run) => run.heldMost),
        converged: runs.every((run) => run.converged),
      };
    }),
  ),
);

if (values.json) console.log(JSON.stringify(rows));
else {
  console.log(
    "| link | guest | policy | total, s | pages | of stream's | downtime, ms | passes | held at most |\n|---|---|---|---|---|---|---|---|---|",
  );
  let stream = 0;
  for (const row of rows) {
    if (row.policy === "stream") stream = row.pages;
    const cells = [
      row.link,
      row.guest,
      row.policy,
      row.converged ? row.seconds.toFixed(2) : `stopped, ${row.seconds.toFixed(1)}`,
      row.pages.toFixed(0),
      (row.pages / stream).toFixed(3),
      row.downtimeMs.toFixed(0),
      row.passes.toFixed(1),
      row.heldMost.toFixed(0),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
