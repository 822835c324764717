import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { TokenBucket } from "./bucket.ts";

interface DelayLineOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly bucket: TokenBucket;
  readonly latencyMs: number;
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

/** One direction of one connection: rate, latency, hold. Bytes leave in order and unchanged. */
export class DelayLine {
  readonly #o: DelayLineOptions;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #held = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

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
    const bytes = chunk?.length ?? 0;
    const waitMs = bytes === 0 ? 0 : this.#o.bucket.take(bytes);
    this.#queue.push({ chunk, dueMs: performance.now() + waitMs + this.#o.latencyMs });
    this.#queuedBytes += bytes;
    this.#pump();
    if (this.#queuedBytes > this.#o.backlogBytes) this.#o.from.pause();
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
    if (this.#queuedBytes <= this.#o.backlogBytes / 2) this.#o.from.resume();
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
