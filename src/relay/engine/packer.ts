import { availableParallelism } from "node:os";
import { constants, zstdCompress } from "node:zlib";

/** The thread pool of Node has four threads; more jobs at once would only wait there. */
const JOBS_MAX = Math.min(4, availableParallelism());
/** A shorter body is not worth a job. */
const PACKED_BYTES_MIN = 128;

/** Of a buffer for a result, and by how much it is larger than the last ones. */
const CHUNK_BYTES_MIN = 4096;
const SPARE = 1.25;

interface Job {
  readonly body: Uint8Array;
  readonly level: number;
  readonly done: (packed: Uint8Array | undefined) => void;
}

/**
 * Packs bodies of `pages` frames by zstd in Node's thread pool. Each is one frame of zstd that stands alone: measured on
 * real guest memory, streaming contexts gain nothing over it, and they could not be used by several threads.
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
  #running = 0;
  /** What becomes of a byte, of late. */
  #share = 1;

  /** @param now  monotonic, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * @param body  must not change until `done`
   * @param done  with the packed form, shorter than the body; undefined when it would not be
   */
  pack(body: Uint8Array, level: number, done: (packed: Uint8Array | undefined) => void): void {
    this.#waiting.push({ body, level, done });
    this.#next();
  }

  #next(): void {
    if (this.#running >= JOBS_MAX) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    const { body, level, done } = job;
    const startedMs = this.#now();
    this.#running++;
    zstdCompress(
      body,
      {
        params: { [constants.ZSTD_c_compressionLevel]: level },
        // Tables fit the size then: level 3 takes two thirds of the time.
        pledgedSrcSize: body.length,
        // One buffer of the result in most cases, without joining; not longer, because it lives as long as the frame.
        chunkSize: Math.max(CHUNK_BYTES_MIN, Math.ceil(body.length * Math.min(1, this.#share * SPARE))),
        maxOutputLength: body.length - 1,
      },
      (error, packed) => {
        this.#running--;
        this.busyMs += this.#now() - startedMs;
        if (error === null) {
          this.batches++;
          this.unpackedBytes += body.length;
          this.bytes += packed.length;
          this.#share += (packed.length / body.length - this.#share) / 8;
        }
        this.#next();
        // The only error there can be is that the result would be longer than allowed.
        done(error === null ? packed : undefined);
      },
    );
  }
}

/** Whether a body of this length is packed at all. */
export function worthPacking(bytes: number): boolean {
  return bytes >= PACKED_BYTES_MIN;
}
