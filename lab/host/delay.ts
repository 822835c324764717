import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { TokenBucket } from "./bucket.ts";

interface DelayLineOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly bucket: TokenBucket;
  /** Draws the latency of the next piece of data. */
  readonly latencyMs: () => number;
  /** Reading stops while more than this waits here. */
  readonly backlogBytes: number;
  readonly count: (bytes: number) => void;
}

interface Waiting {
  /** Null: the end of the stream. */
  readonly chunk: Buffer | null;
  readonly dueMs: number;
}

/** Below this a timer costs more than it is exact. */
const SOON_MS = 1;

/** Reading stops while the line, all connections together, is taken for longer than this: the queue of a switch. */
export const QUEUE_MS = 20;

/** One direction of one connection: rate, latency, hold. Bytes leave in order and unchanged. */
export class DelayLine {
  readonly #o: DelayLineOptions;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #held = false;
  #stopped = false;
  #full = false;
  /** Data never overtakes what came before it, whatever latency it draws. */
  #lastDueMs = 0;
  #readAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #readTimer: NodeJS.Timeout | undefined;

  constructor(options: DelayLineOptions) {
    this.#o = options;
    options.from.on("data", (chunk) => this.push(chunk as Buffer));
    options.from.on("end", () => this.push(null));
    options.to.on("drain", () => this.#pump());
    options.to.on("close", () => this.stop());
  }

  /** @param chunk  null is the end of the stream */
  push(chunk: Buffer | null): void {
    if (this.#stopped) return;
    const grain = this.#o.bucket.grainBytes;
    if (chunk === null) this.#queuePiece(null);
    else for (let at = 0; at < chunk.length; at += grain) this.#queuePiece(chunk.subarray(at, at + grain));
    this.#pump();
  }

  #queuePiece(chunk: Buffer | null): void {
    const nowMs = performance.now();
    const waitMs = chunk === null ? 0 : this.#o.bucket.take(chunk.length);
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + waitMs + this.#o.latencyMs());
    this.#queue.push({ chunk, dueMs: this.#lastDueMs });
    this.#queuedBytes += chunk?.length ?? 0;
    if (waitMs > QUEUE_MS) this.#readAtMs = nowMs + waitMs - QUEUE_MS / 2;
  }

  /** Nothing leaves until `release`; what arrives waits, up to the backlog. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#pump();
  }

  /** What waits is dropped, and what still comes in, too. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#readTimer);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#o.from.resume(); // or the end of `from` would never be noticed
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (!this.#held && !this.#stopped && !this.#o.to.writableNeedDrain) {
      const next = this.#queue[0];
      if (next === undefined) break;
      const waitMs = next.dueMs - performance.now();
      if (waitMs > SOON_MS) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        break;
      }
      this.#queue.shift();
      this.#send(next.chunk);
    }
    this.#readOrWait();
  }

  #readOrWait(): void {
    if (this.#stopped) return;
    clearTimeout(this.#readTimer);
    if (this.#queuedBytes > this.#o.backlogBytes) this.#full = true;
    else if (this.#queuedBytes <= this.#o.backlogBytes / 2) this.#full = false;
    const earlyMs = this.#readAtMs - performance.now();
    if (!this.#full && earlyMs <= 0) this.#o.from.resume();
    else this.#o.from.pause();
    if (earlyMs > 0) this.#readTimer = setTimeout(() => this.#readOrWait(), earlyMs);
  }

  #send(chunk: Buffer | null): void {
    if (chunk === null) {
      this.#o.to.end();
      return;
    }
    this.#queuedBytes -= chunk.length;
    this.#o.count(chunk.length);
    this.#o.to.write(chunk);
  }
}
