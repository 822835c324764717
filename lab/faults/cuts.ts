/**
 * Cuts of the link at each 5 % of a move: of Godwit's, and of a stock QEMU's beside it. Connections end with a reset and
 * new ones are refused ("cut"), or nothing arrives any more and nobody is told ("silent").
 */
import type { CutManner } from "../mod.ts";
import { cutText } from "./proxy.ts";
import { endStand, standOf } from "./rig.ts";
import { GodwitStand } from "./rigPair.ts";
import type { FaultCase } from "./types.ts";

/** A move takes two to three seconds: the share of it that has passed is known to a few percent. */
export const CUT_LINE = { bytesPerSec: 12e6 };
const PERCENTS = Array.from({ length: 19 }, (_, i) => 5 * (i + 1));
const CUTS_MS = [100, 2_000, 30_000];
/** Of what a slice and a silent line are shown with. */
const FEW_PERCENTS = [25, 50, 75];
const STRATEGIES = ["precopy", "postcopy"] as const;
type CutStrategy = (typeof STRATEGIES)[number];

export interface Cut {
  readonly strategy: CutStrategy;
  readonly percent: number;
  readonly ms: number;
  readonly manner: CutManner;
}

/** Every cut of the table. */
export function* cuts(): Generator<Cut> {
  for (const strategy of STRATEGIES) {
    for (const ms of CUTS_MS)
      for (const percent of PERCENTS) yield { strategy, percent, ms, manner: "reset" };
    for (const ms of CUTS_MS.slice(1))
      for (const percent of FEW_PERCENTS) yield { strategy, percent, ms, manner: "blackhole" };
  }
}

/** The columns of a row. */
export function named({ strategy, percent, ms, manner }: Cut) {
  const fault = cutText(ms, manner);
  const moment = `${percent} %`;
  return { name: `cuts/${strategy}/${moment}/${fault}`, group: "cuts", strategy, moment, fault };
}

/** 2 s in the middle of each strategy: both on one stand. Recovery has tests of its own. */
const inSlice = ({ percent, ms, manner }: Cut): boolean =>
  percent === 50 && ms === CUTS_MS[1] && manner === "reset";

/** Godwit's moves, with the agents' own limits. */
export const cutCases: readonly FaultCase[] = [...cuts()].map((cut) => ({
  ...named(cut),
  system: "godwit",
  promise: "completes",
  slice: inSlice(cut),
  async run(qemu, signal) {
    const stand = await standOf("cuts", qemu, () => GodwitStand.open(qemu, CUT_LINE, signal));
    return await stand.run(
      { strategy: cut.strategy },
      async (move) => {
        await move.share(cut.percent / 100);
        move.line.cut(cut.ms, cut.manner);
        return undefined;
      },
      cut.ms,
      signal,
    );
  },
  end: endStand,
}));
