/**
 * What the orders of pushes are worth in post-copy: a simulation (docs/postcopy.md says what it leaves out). Per guest and
 * order: pages that the guest had to ask for, as a part of what it works with, how long it stood still for that in all, and
 * the longest single wait.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { readFlags, whole } from "../../lab/mod.ts";
import { Bubbles } from "../../src/paging/bubbles.ts";
import { Leaning } from "../../src/paging/leaning.ts";
import { makePushOrder, PUSH_ORDERS, type PushOrder, type Waiting } from "../../src/paging/mod.ts";
import { type Outcome, simulate } from "./simulate.ts";
import { TRACES } from "./traces.ts";

/** Pages per second of 1 Gbit/s and 100 Mbit/s, and their round trips. */
const LINKS: Record<string, { readonly linkPagesPerSec: number; readonly roundTripMs: number }> = {
  lan: { linkPagesPerSec: 30_000, roundTripMs: 0.5 },
  metro: { linkPagesPerSec: 30_000, roundTripMs: 10 },
  slow: { linkPagesPerSec: 3000, roundTripMs: 20 },
};

interface Flags {
  readonly seeds: number;
  readonly link: string;
  readonly lacking: number;
  readonly drain: number;
  readonly orders?: readonly string[];
  readonly pivots?: readonly number[];
  readonly near?: readonly number[];
  readonly json?: true;
}

const share = (text: string): number => {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("must be above 0, and 1 at most");
};
const counts = (text: string): number[] => text.split(",").map(whole(1, 1000));
const values = readFlags<Flags>(
  new Command("npm run bench:paging --")
    .description("What each order of pushes is worth in post-copy, by simulation.")
    .option("--seeds <n>", "runs of each", whole(1, 1000), 3)
    .addOption(new Option("--link <name>", "which line").choices(Object.keys(LINKS)).default("lan"))
    .option("--lacking <share>", "of the guest's memory", share, 1)
    .option("--drain <pages>", "per second, out of the source QEMU", whole(1, 1_000_000_000), 250_000)
    .option("--orders <names>", `of ${PUSH_ORDERS.join(", ")}`, (text) => text.split(","))
    .option("--pivots <counts>", "compares bubbles of so many pivots instead of the orders", counts)
    .option("--near <counts>", "compares what counts as near for auto", counts)
    .option("--json", "one JSON list on stdout")
    .addHelpText("after", "\nExample: npm run bench:paging -- --link slow --orders auto,forward"),
);

type MakeOrder = (waiting: Waiting) => PushOrder;
function variants(): readonly (readonly [string, MakeOrder])[] {
  if (values.pivots !== undefined) {
    return values.pivots.map((pivots) => [
      `bubbles, ${pivots}`,
      (waiting) => new Bubbles(waiting, { pivots, nearPages: 64 }),
    ]);
  }
  if (values.near !== undefined) {
    return values.near.map((near) => [`auto, near ${near}`, (waiting) => new Leaning(waiting, near)]);
  }
  const wanted = values.orders;
  return PUSH_ORDERS.filter((name) => wanted?.includes(name) ?? true).map((name) => [
    name,
    (waiting) => makePushOrder(name, waiting),
  ]);
}
const orders = variants();
const link = LINKS[values.link]!;

/** Added to each stall in the geometric mean over all guests, so that one without any does not outweigh the others. */
const FLOOR_MS = 10;

const mean = (runs: readonly Outcome[], of: (run: Outcome) => number): number =>
  runs.reduce((sum, run) => sum + of(run), 0) / runs.length;

const rows = TRACES.flatMap((trace) =>
  orders.map(([order, makeOrder]) => {
    const runs = Array.from({ length: values.seeds }, (_, seed) =>
      simulate({
        trace,
        makeOrder,
        ...link,
        drainPagesPerSec: values.drain,
        lacking: values.lacking,
        seed,
      }),
    );
    return {
      guest: trace.name,
      order,
      faultsOfSet: mean(runs, (run) => run.faultsOfSet),
      late: mean(runs, (run) => run.late),
      stallMs: mean(runs, (run) => run.stallMs),
      longestMs: Math.max(...runs.map((run) => run.longestMs)),
      totalMs: mean(runs, (run) => run.totalMs),
    };
  }),
);

if (values.json) console.log(JSON.stringify(rows));
else {
  console.log(`| guest | ${orders.map(([name]) => name).join(" | ")} |`);
  console.log(`|---|${orders.map(() => "---").join("|")}|`);
  for (const trace of TRACES) {
    const cells = rows
      .filter((row) => row.guest === trace.name)
      .map(
        (row) =>
          `${(row.faultsOfSet * 100).toFixed(1)} % ${row.stallMs.toFixed(0)} / ${row.longestMs.toFixed(1)}`,
      );
    console.log(`| ${trace.name} | ${cells.join(" | ")} |`);
  }
  const all = orders.map(([name]) => {
    const stalls = rows.filter((row) => row.order === name);
    const logs = stalls.reduce((sum, row) => sum + Math.log(row.stallMs + FLOOR_MS), 0);
    return Math.exp(logs / stalls.length).toFixed(0);
  });
  console.log(`| all: stall | ${all.join(" | ")} |`);
}
