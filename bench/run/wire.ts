import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "../clock.ts";
import type { WirePoint } from "../ledger/mod.ts";
import type { Way } from "../types.ts";

const EVERY_MS = 100;

/**
 * Reads a way's counter ten times a second until `over`, and once more then; resolves with what it read.
 * @param interrupted  ends it as well, without a word more to a shaper that is about to be closed
 */
export async function watchWire(way: Way, over: AbortSignal, interrupted: AbortSignal): Promise<WirePoint[]> {
  const signal = AbortSignal.any([over, interrupted]);
  const points: WirePoint[] = [];
  const read = async () => {
    const { forward } = await way.wireBytes();
    points.push({ atMs: nowMs(), bytes: forward });
  };
  while (!signal.aborted) {
    await read();
    await sleep(EVERY_MS, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
  if (!interrupted.aborted) await read();
  return points;
}
