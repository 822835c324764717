import { createServer, type Server, type Socket } from "node:net";
import { TokenBucket } from "./bucket.ts";
import { QUEUE_MS } from "./delay.ts";
import { latencies } from "./latency.ts";
import { ShapedPair } from "./pair.ts";

export type CutManner = "reset" | "blackhole";

export interface Forward {
  /** Where to listen; port 0 picks one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
}

export interface ShaperOptions extends Forward {
  /** More ports of the same line: they share its rate, its cuts and its counts. */
  readonly more?: readonly Forward[];
  /** Limit of each direction on its own, all connections together. Default: none. */
  readonly bytesPerSec?: number;
  /** Added to each direction, exact to about 1 ms: below that it is lost in what the machine adds. Default 0. */
  readonly latencyMs?: number;
  /** The latency of a piece of data is evenly spread over latencyMs ± jitterMs; order is kept. Default 0. */
  readonly jitterMs?: number;
  /** Of the jitter. Default 1. */
  readonly seed?: number;
}

export interface Shaper {
  /** Where `listen` came to lie; `more` have the ports that were asked for. */
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
  const latencyMs = latencies({ latencyMs: 0, jitterMs: 0, seed: 1, ...options });

  const accept = (to: Forward["to"]) => (client: Socket) => {
    if (down === "reset") {
      client.resetAndDestroy();
      return;
    }
    const pair = new ShapedPair(client, {
      to,
      buckets,
      latencyMs,
      backlogBytes: backlogBytes(options),
      stats,
      dark: down === "blackhole",
      gone: () => pairs.delete(pair),
    });
    pairs.add(pair);
  };
  const listeners: Server[] = [];
  const stopListening = () =>
    Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  try {
    for (const { listen, to } of [options, ...(options.more ?? [])])
      listeners.push(await listenAt(listen, accept(to)));
  } catch (error) {
    await stopListening();
    throw error;
  }
  const mend = (): void => {
    clearTimeout(mendTimer);
    down = null;
    for (const pair of pairs) pair.release();
  };
  return {
    address: { host: options.listen.host, port: (listeners[0]!.address() as { port: number }).port },
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
      const closed = stopListening();
      for (const pair of pairs) pair.reset();
      await closed;
    },
  };
}

/** What fits on the line plus its queue: more would only add delay. */
function backlogBytes({ bytesPerSec, latencyMs = 0, jitterMs = 0 }: ShaperOptions): number {
  const most = 16 << 20;
  if (bytesPerSec === undefined) return most;
  return Math.min(most, Math.max(256 << 10, (bytesPerSec * (latencyMs + jitterMs + QUEUE_MS)) / 1000));
}

function listenAt(at: Forward["listen"], accept: (client: Socket) => void): Promise<Server> {
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  return new Promise((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(at.port, at.host, () => resolve(listener));
  });
}
