/**
 * What the orders of pushes are worth in post-copy: a simulation (docs/postcopy.md says what it leaves out). Per guest and
 * order: pages that the guest had to ask for, as a part of what it works with, how long it stood still for that in all, and
 * the longest single wait.
 *
 * node bench/paging/main.ts [--seeds 3] [--link NAME] [--lacking 1] [--orders auto,forward] [--pivots 1,3,7] [--near 64] [--json]
 */
import { parseArgs } from "node:util";
import { Bubbles } from "../../src/paging/bubbles.ts";
import { Leaning } from "../../src/paging/leaning.ts";
import { makePushOrder, PUSH_ORDERS, type PushOrder, type Waiting } from "../../src/paging/mod.ts";
import { type Outcome, simulate } from "./simulate.ts";
import { TRACES } from "./traces.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    link: { type: "string", default: "lan" },
    lacking: { type: "string", default: "1" },
    drain: { type: "string", default: "250000" },
    orders: { type: "string" },
    /** Compares bubbles of so many pivots instead of the orders. */
    pivots: { type: "string" },
    /** Compares what counts as near for `auto`. */
    near: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

/** Pages per second of 1 Gbit/s and 100 Mbit/s, and their round trips. */
const LINKS: Record<string, { readonly linkPagesPerSec: number; readonly roundTripMs: number }> = {
  lan: { linkPagesPerSec: 30_000, roundTripMs: 0.5 },
  metro: { linkPagesPerSec: 30_000, roundTripMs: 10 },
  slow: { linkPagesPerSec: 3000, roundTripMs: 20 },
};

type MakeOrder = (waiting: Waiting) => PushOrder;
const pageCounts = (list: string): number[] => list.split(",").map(Number);
function variants(): readonly (readonly [string, MakeOrder])[] {
  if (values.pivots !== undefined) {
    return pageCounts(values.pivots).map((pivots) => [
      `bubbles, ${pivots}`,
      (waiting) => new Bubbles(waiting, { pivots, nearPages: 64 }),
    ]);
  }
  if (values.near !== undefined) {
    return pageCounts(values.near).map((near) => [
      `auto, near ${near}`,
      (waiting) => new Leaning(waiting, near),
    ]);
  }
  const wanted = values.orders?.split(",");
  return PUSH_ORDERS.filter((name) => wanted?.includes(name) ?? true).map((name) => [
    name,
    (waiting) => makePushOrder(name, waiting),
  ]);
}
const orders = variants();
const link = LINKS[values.link];
if (link === undefined) throw new Error(`--link ${Object.keys(LINKS).join("|")}`);

/** Added to each stall in the geometric mean over all guests, so that one without any does not outweigh the others. */
const FLOOR_MS = 10;

const mean = (runs: readonly Outcome[], of: (run: Outcome) => number): number =>
  runs.reduce((sum, run) => sum + of(run), 0) / runs.length;

const rows = TRACES.flatMap((trace) =>
  orders.map(([order, makeOrder]) => {
    const runs = Array.from({ length: Number(values.seeds) }, (_, seed) =>
      simulate({
        trace,
        makeOrder,
        ...link,
        drainPagesPerSec: Number(values.drain),
        lacking: Number(values.lacking),
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
