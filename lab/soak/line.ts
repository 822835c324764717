import { SHAPED_ADDRESS } from "../../bench/stage/way.ts";
import { forkShaper, type ShaperProcess } from "../host/mod.ts";
import type { Line } from "./plan.ts";

const FAR = "127.0.0.1";

export interface OpenLine {
  /** HOST:PORT of the far agent, through the line. */
  readonly to: string;
  readonly cut: ShaperProcess["cut"];
  close(): Promise<void>;
}

/**
 * The line of one move, for the far agent and its relays: a shaper in a process of its own. It listens at another loopback
 * address with the far host's own port numbers, as a source dials the host it was told and the port that the target names.
 * @throws Error when a port is taken
 */
export async function openLine(
  line: Line,
  far: { readonly control: number; readonly relay: readonly number[] },
  seed: number,
): Promise<OpenLine> {
  const [first, ...more] = [far.control, ...far.relay].map((port) => ({
    listen: { host: SHAPED_ADDRESS, port },
    to: { host: FAR, port },
  }));
  const { bytesPerSec, latencyMs, jitterMs } = line;
  const rate = bytesPerSec === null ? {} : { bytesPerSec };
  const shaper = await forkShaper({ ...first!, more, ...rate, latencyMs, jitterMs, seed });
  return {
    to: `${SHAPED_ADDRESS}:${far.control}`,
    cut: (ms, manner) => shaper.cut(ms, manner),
    close: () => shaper.close(),
  };
}
