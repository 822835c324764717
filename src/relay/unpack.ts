import { constants, type Zlib, zstdDecompress } from "node:zlib";

/**
 * Of the window that a zstd frame may ask for, as a power of two: what it needs to refer to any byte of the largest
 * body. A frame that asks for more is refused before anything is allocated. So whoever packs says how long the body is.
 */
const WINDOW_LOG_MAX = 17;

/** A peer's packed body is no zstd frame of this kind, is longer or shorter than said, or has bytes behind it. */
export type UnpackFault = "pages_zstd" | "pages_unpacked_size";

/** Unpacks bodies of `pages` frames in Node's thread pool. It bounds one body; how many at once is the caller's business. */
export class Unpacker {
  /** Time that bodies took in the pool, all together, ms. */
  busyMs = 0;
  readonly #now: () => number;

  /** @param now  monotonic, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * @param packed  of a peer; must not change until `done`
   * @param bodyBytes  what it must unpack to
   */
  unpack(packed: Uint8Array, bodyBytes: number, done: (result: Uint8Array | UnpackFault) => void): void {
    const startedMs = this.#now();
    zstdDecompress(
      packed,
      {
        params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
        maxOutputLength: bodyBytes,
        // A little more than the body: it comes as one buffer, and the end is seen without another.
        chunkSize: bodyBytes + 64,
        info: true,
      },
      (error, result) => {
        this.busyMs += this.#now() - startedMs;
        if (error !== null)
          return done(
            "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? "pages_unpacked_size" : "pages_zstd",
          );
        const { buffer, engine } = result as unknown as { buffer: Buffer; engine: Zlib };
        if (engine.bytesWritten !== packed.length) return done("pages_zstd");
        done(buffer.length === bodyBytes ? buffer : "pages_unpacked_size");
      },
    );
  }
}
