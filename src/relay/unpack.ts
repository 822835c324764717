import { constants, createZstdDecompress, type ZstdDecompress } from "node:zlib";
import { PAGES_BODY_BYTES_MAX } from "../wire/mod.ts";
import { writeInto } from "./zlibRoom.ts";

/**
 * Of the window that a zstd frame may ask for, as a power of two: what it needs to refer to any byte of the largest
 * body. A frame that asks for more is refused before anything is allocated. So whoever packs says how long the body is.
 */
const WINDOW_LOG_MAX = 17;

/** A peer's packed body is no zstd frame of this kind or has bytes behind it; or is longer or shorter than said. */
export type UnpackFault = "pages_zstd" | "pages_unpacked_size";

type Done = (result: Uint8Array | UnpackFault) => void;

/** A little more than a body: then it comes as one piece. */
const ROOM_BYTES = PAGES_BODY_BYTES_MAX + 64;
/** Room that waits for the next bodies; more is left to the garbage collector. */
const ROOMS_MAX = 4;

/**
 * Unpacks bodies of `pages` frames in Node's thread pool. It bounds one body; how many at once is the caller's business.
 * Contexts go from body to body, and so does the room that bodies are unpacked into: new ones for each cost a third of the
 * main loop's time in garbage, and tens of MB that wait for its collection.
 */
export class Unpacker {
  /** Time that bodies took in the pool, all together, ms. */
  busyMs = 0;
  readonly #now: () => number;
  readonly #idle: Context[] = [];
  readonly #rooms: Buffer[] = [];
  #closed = false;

  /** @param now  monotonic, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * @param packed  of a peer; must not change until `done`
   * @param bodyBytes  what it must unpack to
   * @param done  with the body: good until it is given to `reuse`
   */
  unpack(packed: Uint8Array, bodyBytes: number, done: Done): void {
    const startedMs = this.#now();
    const context = this.#idle.pop() ?? new Context();
    const room = this.#rooms.pop() ?? Buffer.allocUnsafeSlow(ROOM_BYTES);
    context.unpack(packed, bodyBytes, room, (result) => {
      this.busyMs += this.#now() - startedMs;
      if (this.#closed || typeof result === "string") context.close();
      else this.#idle.push(context);
      done(result);
    });
  }

  /** Nobody reads this body any more. */
  reuse(body: Uint8Array): void {
    const room = Buffer.from(body.buffer);
    if (room.length === ROOM_BYTES && this.#rooms.length < ROOMS_MAX && !this.#closed) this.#rooms.push(room);
  }

  /** What is being unpacked is done yet; contexts are given back. */
  close(): void {
    this.#closed = true;
    this.#rooms.length = 0;
    for (const context of this.#idle.splice(0)) context.close();
  }
}

/**
 * One context of zstd, for one body at a time; after a fault it is of no use any more. A frame whose end mark is cut off, but
 * nothing else, is found out by the next body only.
 */
class Context {
  readonly #stream: ZstdDecompress;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #bodyBytes = 0;
  #done: Done | undefined;

  constructor() {
    this.#stream = createZstdDecompress({
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      chunkSize: ROOM_BYTES,
    });
    this.#stream.on("data", (chunk: Buffer) => this.#unpacked(chunk));
    this.#stream.on("error", () => this.#finish("pages_zstd"));
    // zstd wants no more although there is more: bytes behind the frame.
    this.#stream.on("end", () => this.#finish("pages_zstd"));
  }

  unpack(packed: Uint8Array, bodyBytes: number, room: Buffer, done: Done): void {
    this.#bodyBytes = bodyBytes;
    this.#done = done;
    writeInto(this.#stream, room, 0);
    this.#stream.write(packed, () => {
      if (this.#bytes !== bodyBytes) return this.#finish("pages_unpacked_size");
      const [first] = this.#chunks;
      this.#finish(this.#chunks.length === 1 ? first! : Buffer.concat(this.#chunks));
    });
  }

  close(): void {
    this.#stream.destroy();
  }

  /** In the main loop, between two turns of the thread: nobody reads the packed bytes now. */
  #unpacked(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= this.#bodyBytes) this.#chunks.push(chunk);
    else this.#finish("pages_unpacked_size");
  }

  #finish(result: Uint8Array | UnpackFault): void {
    const done = this.#done;
    this.#done = undefined;
    this.#chunks = [];
    this.#bytes = 0;
    done?.(result);
  }
}
