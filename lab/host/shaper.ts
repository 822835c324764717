import { createServer, type Server, type Socket } from "node:net";
import { TokenBucket } from "./bucket.ts";
import { ShapedPair } from "./pair.ts";

export type CutManner = "reset" | "blackhole";

export interface ShaperOptions {
  /** Where to listen; port 0 picks one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
  /** Limit of each direction on its own, all connections together. Default: none. */
  readonly bytesPerSec?: number;
  /** Added to each direction. Default 0. */
  readonly latencyMs?: number;
}

export interface Shaper {
  readonly address: { readonly host: string; readonly port: number };
  /** Bytes handed on so far; `forward` is from the one who connected towards `to`. */
  readonly stats: { readonly forwardBytes: number; readonly backwardBytes: number };
  /**
   * Cuts the line. `reset`: connections end with a reset, and so does every new one. `blackhole`: nothing arrives any
   * more and nobody is told; what was sent into the hole arrives after the mend, as TCP would send it again.
   * @param ms  mends by itself after so long; without it `mend()` does
   */
  cut(ms: number | undefined, manner: CutManner): void;
  mend(): void;
  close(): Promise<void>;
}

/**
 * A TCP forwarder that is slow, far away or broken on demand: the lab's network between two hosts. `netem` is not
 * everywhere, and this needs no root. Put it in a process of its own where its CPU time counts: `shaper_main.ts`.
 * @throws the listener's error (EADDRINUSE and the like)
 */
export async function startShaper(options: ShaperOptions): Promise<Shaper> {
  const stats = { forwardBytes: 0, backwardBytes: 0 };
  const pairs = new Set<ShapedPair>();
  const buckets = [new TokenBucket(options.bytesPerSec), new TokenBucket(options.bytesPerSec)] as const;
  let down: CutManner | null = null;
  let mendTimer: NodeJS.Timeout | undefined;

  const listener = await listen(options.listen, (client) => {
    if (down === "reset") {
      client.resetAndDestroy();
      return;
    }
    const pair = new ShapedPair(client, {
      to: options.to,
      buckets,
      latencyMs: options.latencyMs ?? 0,
      backlogBytes: backlogBytes(options),
      stats,
      dark: down === "blackhole",
      gone: () => pairs.delete(pair),
    });
    pairs.add(pair);
  });
  const mend = (): void => {
    clearTimeout(mendTimer);
    down = null;
    for (const pair of pairs) pair.release();
  };
  return {
    address: { host: options.listen.host, port: (listener.address() as { port: number }).port },
    stats,
    mend,
    cut(ms, manner) {
      clearTimeout(mendTimer);
      down = manner;
      for (const pair of pairs) {
        if (manner === "reset") pair.reset();
        else pair.hold();
      }
      if (ms !== undefined) mendTimer = setTimeout(mend, ms);
    },
    async close() {
      clearTimeout(mendTimer);
      const closed = new Promise((resolve) => listener.close(resolve));
      for (const pair of pairs) pair.reset();
      await closed;
    },
  };
}

/** What fits on the line plus 20 ms of queue, as in a switch: more would only add delay. */
function backlogBytes({ bytesPerSec, latencyMs = 0 }: ShaperOptions): number {
  const most = 16 << 20;
  if (bytesPerSec === undefined) return most;
  return Math.min(most, Math.max(256 << 10, (bytesPerSec * (latencyMs + 20)) / 1000));
}

function listen(at: ShaperOptions["listen"], accept: (client: Socket) => void): Promise<Server> {
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  return new Promise((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(at.port, at.host, () => resolve(listener));
  });
}
