import { PAYLOAD_BYTES_MAX } from "../../wire/mod.ts";

export const SLAB_BYTES = 4 * PAYLOAD_BYTES_MAX;
/** More than any body becomes, however badly it packs (ZSTD_COMPRESSBOUND: a 256th, and less than 64 bytes). */
const WORST_BYTES = PAYLOAD_BYTES_MAX + PAYLOAD_BYTES_MAX / 256 + 64;
/** Slabs that wait for use: what lies between two bursts of acknowledgements. More are left to the garbage collector. */
const OPEN_MAX = 8;

/** A buffer that packed bodies are cut from, one behind the other. */
export interface Slab {
  readonly bytes: Buffer;
  /** Where the next one goes. There is room for it, whatever it becomes. */
  readonly at: number;
}

interface Used extends Slab {
  at: number;
  /** Cut from it and not released. */
  pieces: number;
  /** Somebody writes to it. */
  taken: boolean;
}

/** Room for packed bodies, which comes back in any order. */
export class Slabs {
  /** Nobody writes to them, and there is room for one body more. */
  readonly #open: Used[] = [];
  readonly #byBuffer = new WeakMap<ArrayBufferLike, Used>();

  /** One to write a body to, until `cut`. */
  take(): Slab {
    const slab = this.#open.pop() ?? this.#fresh();
    slab.taken = true;
    return slab;
  }

  /** Ends writing. @param bytes  of the body that was written, to be released later; 0: none */
  cut(slab: Slab, bytes: number): void {
    const used = this.#byBuffer.get(slab.bytes.buffer)!;
    used.taken = false;
    if (bytes > 0) used.pieces++;
    used.at += bytes;
    this.#file(used);
  }

  /** Nobody reads this body any more. One that was not cut from a slab is none of ours. */
  release(body: Uint8Array): void {
    const used = this.#byBuffer.get(body.buffer);
    if (used === undefined) return;
    used.pieces--;
    if (used.pieces === 0 && !used.taken) this.#file(used);
  }

  #file(slab: Used): void {
    const place = this.#open.indexOf(slab);
    if (slab.pieces === 0) slab.at = 0;
    if (slab.at + WORST_BYTES > SLAB_BYTES || place >= 0 || this.#open.length >= OPEN_MAX) return;
    this.#open.push(slab);
  }

  #fresh(): Used {
    // Slow: not cut from Node's pool, but a buffer of its own.
    const slab = { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), at: 0, pieces: 0, taken: false };
    this.#byBuffer.set(slab.bytes.buffer, slab);
    return slab;
  }
}
