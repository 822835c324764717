import { constants, createZstdCompress, type ZstdCompress } from "node:zlib";
import { PAYLOAD_BYTES_MAX } from "../../wire/mod.ts";
import { writeInto } from "../zlibRoom.ts";
import { SLAB_BYTES, type Slab, Slabs } from "./slabs.ts";

/**
 * As many as Node's pool has threads, also where there are fewer processors: where these are busy with a guest, a job of half
 * a ms waits 5 to 10 ms for its turn, and two at once pack 35 MB/s together however little they need.
 */
const JOBS_MAX = 4;
/** A shorter body is not worth a job. */
const PACKED_BYTES_MIN = 128;
/** Power of two that no body exceeds. The target refuses frames that ask for more (docs/wire.md). */
const WINDOW_LOG = Math.ceil(Math.log2(PAYLOAD_BYTES_MAX));

interface Job {
  readonly body: Uint8Array;
  readonly level: number;
  readonly done: (packed: Uint8Array | undefined) => void;
}

/**
 * Packs bodies of `pages` frames by zstd in Node's thread pool. Each becomes one frame of zstd that stands alone: measured
 * on real guest memory, leaning on the batches before gains nothing, and several threads could not do it.
 *
 * One context per thread goes from body to body; a new one each time costs a third more CPU time, and leaves garbage. A body
 * is one call that also ends the frame, with room for the worst outcome: so zstd knows how long it is, chooses accordingly
 * (level 1 gives 5 % less bytes than it would for a stream of unknown length), and copies nothing. Measured on a lab guest's
 * memory, 126 MB: level 1 63.8 MB, level 2 59.6, level 3 60.2, at 165, 222 and 120 MB/s and core.
 */
export class Packer {
  readonly jobsMax = JOBS_MAX;
  /** Time that jobs took, all together, ms. */
  busyMs = 0;
  batches = 0;
  unpackedBytes = 0;
  bytes = 0;
  readonly #now: () => number;
  readonly #waiting: Job[] = [];
  readonly #idle: Context[] = [];
  readonly #slabs = new Slabs();
  #contexts = 0;
  #closed = false;

  /** @param now  monotonic, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * @param body  must not change until `done`
   * @param done  with the packed form, shorter than the body, good until `reuse`; undefined when it would not be
   */
  pack(body: Uint8Array, level: number, done: (packed: Uint8Array | undefined) => void): void {
    this.#waiting.push({ body, level, done });
    this.#next();
  }

  /** Nobody reads this packed form any more. */
  reuse(packed: Uint8Array): void {
    this.#slabs.release(packed);
  }

  /** What is being packed is done yet; contexts are given back. */
  close(): void {
    this.#closed = true;
    for (const context of this.#idle.splice(0)) context.close();
  }

  #next(): void {
    if (this.#idle.length === 0 && this.#contexts === JOBS_MAX) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    const context = this.#context(job.level);
    const { body, done } = job;
    const slab = this.#slabs.take();
    const startedMs = this.#now();
    context.pack(body, slab, (result) => {
      this.busyMs += this.#now() - startedMs;
      if (this.#closed) {
        this.#contexts--;
        context.close();
      } else this.#idle.push(context);
      const packed = result !== undefined && result.length < body.length ? result : undefined;
      this.#slabs.cut(slab, packed?.buffer === slab.bytes.buffer ? packed.length : 0);
      if (packed !== undefined) {
        this.batches++;
        this.unpackedBytes += body.length;
        this.bytes += packed.length;
      }
      this.#next();
      done(packed);
    });
  }

  #context(level: number): Context {
    const idle = this.#idle.pop();
    if (idle?.level === level && !idle.broken) return idle;
    idle?.close();
    if (idle === undefined) this.#contexts++;
    return new Context(level);
  }
}

/** One context of zstd, for one body at a time. */
class Context {
  readonly level: number;
  broken = false;
  readonly #stream: ZstdCompress;
  #chunks: Buffer[] = [];
  #done: ((packed: Uint8Array | undefined) => void) | undefined;

  constructor(level: number) {
    this.level = level;
    this.#stream = createZstdCompress({
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_windowLog]: WINDOW_LOG,
      },
      flush: constants.ZSTD_e_end,
      chunkSize: SLAB_BYTES,
    });
    this.#stream.on("data", (chunk: Buffer) => void this.#chunks.push(chunk));
    this.#stream.on("error", () => {
      this.broken = true;
      this.#finish(undefined);
    });
  }

  pack(body: Uint8Array, slab: Slab, done: (packed: Uint8Array | undefined) => void): void {
    this.#done = done;
    writeInto(this.#stream, slab.bytes, slab.at);
    this.#stream.write(body, () => {
      const chunks = this.#chunks;
      this.#chunks = [];
      this.#finish(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
    });
  }

  close(): void {
    this.#stream.close();
  }

  #finish(packed: Uint8Array | undefined): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(packed);
  }
}

/** Whether a body of this length is packed at all. */
export function worthPacking(bytes: number): boolean {
  return bytes >= PACKED_BYTES_MIN;
}
