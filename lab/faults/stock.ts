/** Stock QEMU through the same faults, as an operator without Godwit would meet them: straight from one to the other. */
import { CUT_LINE, cuts, named } from "./cuts.ts";
import { CUT_MS, closeConnection, cutFor, FOR_GOOD_MS, MOMENTS } from "./postcopy.ts";
import { endStand, standOf } from "./rig.ts";
import { type StockFault, StockStand } from "./stockRig.ts";
import type { FaultCase } from "./types.ts";

/** Of the long ones a few moments are enough. */
const LONG_MS = 30_000;
const MOMENTS_OF_LONG = [15, 35, 50, 75, 95];

/** Slower and longer than for Godwit's packed pages: as many seconds, and time for a fault behind the last byte. */
const POSTCOPY_LINE = { bytesPerSec: 12e6, latencyMs: 100 };

/** Beside `cutCases`. */
export const stockCutCases: readonly FaultCase[] = [...cuts()]
  .filter(
    ({ ms, percent, manner }) => ms < LONG_MS || manner === "blackhole" || MOMENTS_OF_LONG.includes(percent),
  )
  .map((cut) => ({
    ...named(cut),
    name: `stock/${named(cut).name}`,
    system: "stock",
    async run(qemu, signal) {
      const stand = await standOf("stock cuts", qemu, () => StockStand.open(qemu, CUT_LINE));
      const fault: StockFault = async (move) => {
        await move.share(cut.percent / 100);
        move.line.cut(cut.ms, cut.manner);
        return undefined;
      };
      return await stand.run(cut.strategy === "postcopy", fault, cut.ms, signal);
    },
    end: endStand,
  }));

const FAULTS: readonly { readonly fault: string; readonly ms: number; readonly act: StockFault }[] = [
  { fault: `link cut ${CUT_MS / 1000} s`, ms: CUT_MS, act: cutFor(CUT_MS) },
  {
    fault: "link cut for good, mended by the operator",
    ms: FOR_GOOD_MS,
    act: cutFor(FOR_GOOD_MS),
  },
  { fault: "target QEMU's connection closed", ms: 0, act: ({ to }) => closeConnection(to.runs) },
  { fault: "source QEMU's connection closed", ms: 0, act: ({ from }) => closeConnection(from.runs) },
];

/** Beside `postcopyCases`; there are no relays to kill. */
export const stockPostcopyCases: readonly FaultCase[] = Object.entries(MOMENTS).flatMap(([moment, share]) =>
  FAULTS.map(({ fault, act, ms }) => ({
    name: `stock/postcopy/${moment}/${fault}`,
    group: "post-copy",
    system: "stock" as const,
    strategy: "postcopy",
    moment,
    fault,
    async run(qemu, signal) {
      const stand = await standOf("stock post-copy", qemu, () => StockStand.open(qemu, POSTCOPY_LINE));
      const faulted: StockFault = async (move) => {
        await (share === null ? move.lastByte() : move.shareOfPostcopy(share));
        return await act(move);
      };
      return await stand.run(true, faulted, ms, signal);
    },
    end: endStand,
  })),
);
