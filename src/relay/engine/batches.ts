import type { Arena } from "../../link/mod.ts";

/** A batch's body that is whole. */
export interface Body {
  readonly bytes: Uint8Array;
  /** Nobody reads it any more. Exactly one call. */
  release(): void;
}

/**
 * Room for the bodies of `pages` frames in the kernels' memory: one is being written, the others are being packed or
 * awaited by the link. When all are taken a body is copied out, so that writing can always go on: whoever may pause looks at
 * `low` first.
 */
export class BatchRoom {
  readonly #arena: Arena;
  readonly #released: () => void;
  /** Address of the one that is being written; -1: none yet. */
  #at = -1;

  /** @param released  a body has become free */
  constructor(arena: Arena, released: () => void) {
    this.#arena = arena;
    this.#released = released;
  }

  /** Where to write. The same until `take`. */
  get at(): number {
    if (this.#at < 0) {
      const at = this.#arena.take();
      if (at === undefined) throw new Error("no body of a batch is free, not even the first");
      this.#at = at;
    }
    return this.#at;
  }

  /** Few are free. */
  get low(): boolean {
    return this.#arena.freeChunks < 2;
  }

  /** The first so many bytes of the one that was written; it is the taker's now. */
  take(bytes: number): Body {
    const { memory } = this.#arena;
    const at = this.at;
    const body = memory.subarray(at, at + bytes);
    const next = this.#arena.take();
    if (next === undefined) return { bytes: body.slice(), release: () => undefined };
    this.#at = next;
    return {
      bytes: body,
      release: () => {
        this.#arena.release(at);
        this.#released();
      },
    };
  }

  /** Gives the one that is being written back. */
  close(): void {
    if (this.#at >= 0) this.#arena.release(this.#at);
    this.#at = -1;
  }
}
