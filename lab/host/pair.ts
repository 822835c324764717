import { connect, type Socket } from "node:net";
import type { TokenBucket } from "./bucket.ts";
import { DelayLine } from "./delay.ts";

interface PairOptions {
  readonly to: { readonly host: string; readonly port: number };
  readonly buckets: readonly [TokenBucket, TokenBucket];
  readonly latencyMs: () => number;
  readonly backlogBytes: number;
  readonly stats: { forwardBytes: number; backwardBytes: number };
  /** Accepted inside a black hole: `to` must not see it before the mend. */
  readonly dark: boolean;
  readonly gone: () => void;
}

/** One connection through the shaper: the socket that was accepted, the one towards `to`, and a line each way. */
export class ShapedPair {
  readonly #client: Socket;
  readonly #o: PairOptions;
  #server: Socket | null = null;
  #lines: readonly DelayLine[] = [];
  #held: boolean;
  #broken = false;
  /** What came in while dark. Null: connected. */
  #early: Buffer[] | null = [];

  constructor(client: Socket, options: PairOptions) {
    this.#client = client;
    this.#o = options;
    this.#held = options.dark;
    client.on("error", () => this.#break());
    client.on("close", () => this.#closed());
    if (options.dark) this.#listenInTheDark();
    else this.#connect();
  }

  hold(): void {
    this.#held = true;
    for (const line of this.#lines) line.hold();
  }

  release(): void {
    this.#held = false;
    if (this.#broken) this.reset();
    else if (this.#server === null) this.#connect();
    for (const line of this.#lines) line.release();
  }

  reset(): void {
    for (const line of this.#lines) line.stop();
    this.#client.resetAndDestroy();
    this.#server?.resetAndDestroy();
    if (this.#server === null) this.#o.gone();
  }

  /** Who gives up while nothing can arrive never was there: `to` learns nothing of it. */
  #listenInTheDark(): void {
    const client = this.#client;
    const keep = (chunk: Buffer): void => {
      this.#early?.push(chunk);
    };
    client.on("data", keep);
    client.on("end", () => {
      if (this.#early !== null) this.reset();
    });
  }

  #connect(): void {
    const { to, buckets, latencyMs, backlogBytes, stats } = this.#o;
    const client = this.#client;
    const server = connect({ ...to, allowHalfOpen: true, noDelay: true });
    this.#server = server;
    server.on("error", () => this.#break());
    server.on("close", () => this.#closed());
    const early = this.#early ?? [];
    this.#early = null;
    client.removeAllListeners("data");
    const common = { latencyMs, backlogBytes };
    const forward = new DelayLine({
      ...common,
      from: client,
      to: server,
      bucket: buckets[0],
      count: (bytes) => {
        stats.forwardBytes += bytes;
      },
    });
    const backward = new DelayLine({
      ...common,
      from: server,
      to: client,
      bucket: buckets[1],
      count: (bytes) => {
        stats.backwardBytes += bytes;
      },
    });
    this.#lines = [forward, backward];
    if (this.#held) for (const line of this.#lines) line.hold();
    for (const chunk of early) forward.push(chunk);
  }

  /** One end is gone: a reset for the other, at once or, inside a black hole, after the mend. */
  #break(): void {
    this.#broken = true;
    if (!this.#held) this.reset();
  }

  #closed(): void {
    if (this.#client.closed && (this.#server === null || this.#server.closed)) this.#o.gone();
  }
}
