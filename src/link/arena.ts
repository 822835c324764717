import assert from "node:assert";

/**
 * A region of memory cut into chunks with reference counts. Sockets read straight into a chunk; whoever keeps a range of
 * it holds the chunk until the range is used up. All offsets are offsets in `memory` (so in a WASM memory: addresses).
 *
 * Non-goal: allocation of single ranges. Frames come and go nearly in order, so a chunk of 1 MiB becomes free as a whole.
 */
export class Arena {
  readonly memory: Uint8Array;
  readonly chunkBytes: number;
  readonly chunks: number;
  readonly #start: number;
  readonly #holds: Int32Array;
  readonly #free: number[] = [];
  readonly #waiters: (() => void)[] = [];

  /**
   * @param memory never detached or grown while the arena lives
   * @param chunkBytes at least twice the largest piece that a consumer leaves unconsumed
   * @param region offsets in `memory`; the whole memory when left out. What is left over after the last chunk is unused.
   */
  constructor(
    memory: Uint8Array,
    chunkBytes: number,
    region?: { readonly start: number; readonly end: number },
  ) {
    const start = region?.start ?? 0;
    const end = region?.end ?? memory.length;
    assert(start >= 0 && end <= memory.length, "the region lies in the memory");
    this.memory = memory;
    this.chunkBytes = chunkBytes;
    this.chunks = Math.floor((end - start) / chunkBytes);
    assert(this.chunks >= 1, "room for one chunk at least");
    this.#start = start;
    this.#holds = new Int32Array(this.chunks);
    // Highest first, so that the lowest is taken first; a chunk just freed is taken next: it is warm in the cache.
    for (let chunk = this.chunks - 1; chunk >= 0; chunk--) this.#free.push(chunk);
  }

  get freeChunks(): number {
    return this.#free.length;
  }

  /** Takes a free chunk with one hold. @returns the offset of its first byte, or undefined when none is free */
  take(): number | undefined {
    const chunk = this.#free.pop();
    if (chunk === undefined) return undefined;
    this.#holds[chunk] = 1;
    return this.#start + chunk * this.chunkBytes;
  }

  /** One more hold on the chunk in which `offset` lies; it must be held already. */
  hold(offset: number): void {
    const chunk = this.#chunkAt(offset);
    assert(this.#holds[chunk]! > 0, "a free chunk cannot be held");
    this.#holds[chunk]!++;
  }

  /** Ends one hold. The last one frees the chunk and wakes one waiter, synchronously. */
  release(offset: number): void {
    const chunk = this.#chunkAt(offset);
    const holds = --this.#holds[chunk]!;
    assert(holds >= 0, "released more often than held");
    if (holds > 0) return;
    this.#free.push(chunk);
    this.#waiters.shift()?.();
  }

  /** Whether only one hold is on the chunk in which `offset` lies. */
  heldOnce(offset: number): boolean {
    return this.#holds[this.#chunkAt(offset)] === 1;
  }

  /** Calls back once, when a chunk has become free (it may be gone again: `take` tells). */
  whenFree(callback: () => void): void {
    this.#waiters.push(callback);
  }

  #chunkAt(offset: number): number {
    const chunk = Math.floor((offset - this.#start) / this.chunkBytes);
    assert(chunk >= 0 && chunk < this.chunks, "the offset lies in the arena");
    return chunk;
  }
}
