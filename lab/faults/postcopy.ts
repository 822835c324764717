/**
 * Post-copy, while the guest runs at the target and pages are missing there: the link, the target QEMU's connection and
 * either relay are lost at five moments. Agents recover by themselves (docs/adr/0008-postcopy-recovery.md).
 */
import { isGodwitError } from "../../src/errors/mod.ts";
import type { Shaper } from "../mod.ts";
import { endStand, standOf } from "./rig.ts";
import { kill } from "./rigHost.ts";
import type { FaultMove } from "./rigMove.ts";
import { type Fault, GodwitStand, type Order } from "./rigPair.ts";
import type { RunWatch } from "./rigRuns.ts";
import type { FaultCase } from "./types.ts";

/** Some seconds for what is missing; and between the last byte's arrival and the word of it there is time for a fault. */
export const POSTCOPY_LINE = { bytesPerSec: 14e6, latencyMs: 40 };
export const CUT_MS = 5_000;
/** Longer than the relays wait: they give the link up, and an operator mends it then. */
export const FOR_GOOD_MS = 8_000;
const GIVE_UP_MS = 2_000;

/**
 * Shares of the bytes that cross after the package. `END`: the target has every page, and the source does not know; for a
 * fault that is nothing then, the moment when the source QEMU has written its last byte.
 */
export const MOMENTS = { package: 0, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, END: null } as const;

interface PostcopyFault {
  readonly fault: string;
  readonly act: Fault;
  /** What the fault itself lasts. */
  readonly ms: number;
  readonly order?: Order;
  /** Once the target has everything there is nothing to do it to. */
  readonly needsPages?: true;
}

const FAULTS: readonly PostcopyFault[] = [
  {
    fault: `link cut ${CUT_MS / 1000} s`,
    ms: CUT_MS,
    act: cutFor(CUT_MS),
  },
  {
    fault: "link cut for good, mended by the operator",
    ms: FOR_GOOD_MS,
    order: { postcopyReconnectForMs: GIVE_UP_MS },
    act: cutFor(FOR_GOOD_MS),
  },
  {
    fault: "target QEMU's connection closed",
    ms: 0,
    act: ({ to }) => closeConnection(to.runs),
    needsPages: true,
  },
  { fault: "kill source relay", ms: 0, act: async ({ from }) => killed(from.relays) },
  { fault: "kill target relay", ms: 0, act: async ({ to }) => killed(to.relays) },
];

/** A fault that cuts the line. */
export function cutFor(ms: number) {
  return async ({ line }: { readonly line: Shaper }): Promise<undefined> => {
    line.cut(ms, "reset");
  };
}

function killed(pids: readonly number[]): string | undefined {
  return kill(pids.at(-1)!) ? undefined : "it had ended before";
}

/** Has a QEMU close its migration connection. @returns what it said when it had none any more */
export async function closeConnection(runs: RunWatch): Promise<string | undefined> {
  if (runs.qmp === null) throw new Error("QEMU is not there");
  try {
    await runs.qmp.execute("migrate-pause", {}, { oob: true });
    return undefined;
  } catch (error) {
    if (!isGodwitError(error) || error.code !== "QMP_ERROR") throw error;
    return `nothing to close: ${error.message}`;
  }
}

function reach(move: FaultMove, share: number | null, needsPages: boolean): Promise<void> {
  if (share !== null) return move.shareOfPostcopy(share);
  const [host, event] = needsPages ? [move.from, "barrier"] : [move.to, "verdict"];
  return move.told(host, ({ relay }) => relay?.event === event && relay.barrier === "end");
}

/** Each fault at each moment. */
export const postcopyCases: readonly FaultCase[] = Object.entries(MOMENTS).flatMap(([moment, share]) =>
  FAULTS.map(({ fault, act, ms, order, needsPages = false }) => ({
    name: `postcopy/${moment}/${fault}`,
    group: "post-copy",
    system: "godwit" as const,
    strategy: "postcopy",
    moment,
    fault,
    promise: "completes" as const,
    async run(qemu, signal) {
      const stand = await standOf("post-copy", qemu, () => GodwitStand.open(qemu, POSTCOPY_LINE, signal));
      const faulted: Fault = async (move) => {
        await reach(move, share, needsPages);
        return await act(move);
      };
      return await stand.run({ strategy: "postcopy", ...order }, faulted, ms, signal);
    },
    end: endStand,
  })),
);
