/**
 * Writing a socket in large pieces: what is queued in one turn goes out in one system call, without the layers between
 * `write` and the socket's own `_writev`. Those cost about as much as the copy of a frame: a state machine per part,
 * two trips through nextTick per call. Counterpart of bulk.ts.
 */
import assert from "node:assert";
import type net from "node:net";

/** Enough for one system call to be cheap, little enough that what was written is told soon. */
const BATCH_BYTES_MAX = 512 * 1024;

/** Says that the chunk is bytes, as Node's own streams say it; its type knows names of text only. */
const RAW = "buffer" as BufferEncoding;

interface Chunk {
  readonly chunk: Uint8Array;
  readonly encoding: BufferEncoding;
}
/** What `_writev` takes (Node's documentation, "Implementing a writable stream"); the flag spares it a copy of the list. */
type Chunks = Chunk[] & { allBuffers?: boolean };

interface Entry {
  readonly parts: readonly Uint8Array[];
  readonly settled: ((sent: boolean) => void) | undefined;
}

const soon = Promise.resolve();

/** The only one who writes to its socket, from the first write on. */
export class BulkWriter {
  readonly #socket: net.Socket;
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.#go();
  };
  readonly #queue: Entry[] = [];
  #busy = false;
  #scheduled = false;
  #ended = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.once("close", () => this.#go());
  }

  /** Whether `end` was called, or nothing can go out any more. */
  get ended(): boolean {
    return this.#ended || this.#socket.destroyed;
  }

  /**
   * Queues the parts, not copied; they go out at the end of this turn.
   * @param settled  called once, when their memory is not read any more: the socket took them, or it is gone
   */
  write(parts: readonly Uint8Array[], settled?: (sent: boolean) => void): void {
    assert(!this.#ended, "nothing is written after the end");
    this.#queue.push({ parts, settled });
    if (this.#busy || this.#scheduled) return;
    this.#scheduled = true;
    // A microtask, not nextTick, which costs several times as much.
    void soon.then(this.#flush);
  }

  /** No more from us; what was queued still goes out. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#busy) this.#go();
  }

  #go(): void {
    if (this.#busy) return;
    if (this.#socket.destroyed) {
      for (const { settled } of this.#queue.splice(0)) settled?.(false);
      return;
    }
    const batch: Chunks = [];
    let count = 0;
    for (let bytes = 0; count < this.#queue.length && bytes < BATCH_BYTES_MAX; count++) {
      for (const chunk of this.#queue[count]!.parts) {
        bytes += chunk.length;
        batch.push({ chunk, encoding: RAW });
      }
    }
    if (count === 0) {
      if (this.#ended) this.#socket.end();
      return;
    }
    batch.allBuffers = true;
    const done = this.#queue.splice(0, count);
    this.#busy = true;
    // Called back at once when the kernel took everything.
    this.#socket._writev!(batch, (error) => {
      this.#busy = false;
      if (error) this.#socket.destroy(error);
      const sent = !this.#socket.destroyed;
      for (const { settled } of done) settled?.(sent);
      this.#go();
    });
  }
}
