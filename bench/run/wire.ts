import { setTimeout as sleep } from "node:timers/promises";
import type { WirePoint } from "../ledger/mod.ts";
import type { Way } from "../types.ts";

const EVERY_MS = 100;

/** One clock for all processes of the machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Reads a way's counter ten times a second until it is told to stop; resolves then with what it read. */
export async function watchWire(way: Way, signal: AbortSignal): Promise<WirePoint[]> {
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
  await read();
  return points;
}
