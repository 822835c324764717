import type { DataKind } from "../../wire/mod.ts";

export interface OutgoingOptions {
  /** The link's `send`. */
  readonly send: (kind: DataKind, parts: readonly Uint8Array[], acked: () => void) => boolean;
  /** There may be room again: `hasRoom` tells. */
  readonly room: () => void;
  /** Monotonic, ms. */
  readonly now: () => number;
}

/** Bytes that may wait here while the link takes more: some batches, so that packing runs on all threads. */
export const WAITING_BYTES_MAX = 6 * 120 * 1024;
/** And while it does not: what is ready when it goes on. */
export const AHEAD_BYTES_MAX = 3 * 120 * 1024;

interface Item {
  readonly kind: DataKind;
  /** undefined: still in the making. */
  parts: readonly Uint8Array[] | undefined;
  bytes: number;
  done: (() => void) | undefined;
}

/** A place in the queue that was taken before its content is known. */
export interface Place {
  /** The frame itself; `done` as with `Outgoing.send`. */
  fill(parts: readonly Uint8Array[], done?: () => void): void;
}

/**
 * Everything that the source sends, in order. A frame whose content is still in the making keeps its place; those behind
 * it wait. What waits here is invisible to QEMU, so it is bounded: whoever reads QEMU's stream looks at `hasRoom` first.
 */
export class Outgoing {
  readonly #options: OutgoingOptions;
  #items: Item[] = [];
  /** Of frames given to the link and not acknowledged: to be called at its end, when it will never call them. */
  readonly #outstanding = new Set<() => void>();
  /** Bytes of the items, as far as they are known. */
  waitingBytes = 0;
  #full = false;
  #over = false;
  /** Time in each of the states, ms, up to `#sinceMs`. */
  #fullMs = 0;
  #makingMs = 0;
  #sinceMs: number;
  /** Payload bytes given to the link. */
  sentBytes = 0;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#sinceMs = options.now();
  }

  /** Whether more of QEMU's stream may be read. `ahead`: also a little while the link is full, so that it is ready then. */
  hasRoom(ahead: boolean): boolean {
    if (!this.#full) return this.waitingBytes < WAITING_BYTES_MAX;
    return ahead && this.waitingBytes < AHEAD_BYTES_MAX;
  }

  /** Nothing waits here. */
  get empty(): boolean {
    return this.#items.length === 0;
  }

  /** The link is gone: what is sent now is done at once, and goes nowhere. */
  get over(): boolean {
    return this.#over;
  }

  /** Nothing waits here and the link would take more. */
  get idle(): boolean {
    return !this.#full && this.#items.length === 0;
  }

  /**
   * How long the link has been full, and how long it would have taken a frame that was still in the making; ms since the
   * start. Says what limits the rate.
   */
  get limits(): { readonly fullMs: number; readonly makingMs: number } {
    this.#account();
    return { fullMs: this.#fullMs, makingMs: this.#makingMs };
  }

  /** Queues one frame. The parts must stay unchanged until `done`, which is called exactly once, at the link's end at the latest. */
  send(kind: DataKind, parts: readonly Uint8Array[], done?: () => void): void {
    if (this.#over) return done?.();
    this.#account();
    this.#items.push({ kind, parts, bytes: sizeOf(parts), done });
    this.waitingBytes += sizeOf(parts);
    this.#pump();
  }

  /** A frame that need not wait behind those that wait here, and leaves although the link is full. As `send` otherwise. */
  now(kind: DataKind, parts: readonly Uint8Array[], done?: () => void): void {
    if (this.#over) return done?.();
    this.sentBytes += sizeOf(parts);
    this.#options.send(kind, parts, this.#outstand(done));
  }

  /** Keeps a place for one frame that is about so long. */
  reserve(kind: DataKind, bytes: number): Place {
    this.#account();
    const item: Item = { kind, parts: undefined, bytes, done: undefined };
    this.#items.push(item);
    this.waitingBytes += bytes;
    return {
      fill: (parts, done) => {
        if (this.#over) return done?.();
        this.#account();
        item.parts = parts;
        item.done = done;
        const bytes = sizeOf(parts);
        this.waitingBytes += bytes - item.bytes;
        item.bytes = bytes;
        this.#pump();
        this.#options.room();
      },
    };
  }

  /** The link has room again. */
  drain(): void {
    this.#account();
    this.#full = false;
    this.#pump();
    this.#options.room();
  }

  /** The link is gone: nothing is sent any more, and no memory is read. */
  ended(): void {
    this.#over = true;
    const waiting = this.#items.map(({ done }) => done);
    this.#items = [];
    this.waitingBytes = 0;
    for (const done of waiting) done?.();
    for (const done of this.#outstanding) done();
    this.#outstanding.clear();
  }

  #pump(): void {
    while (!this.#full && !this.#over) {
      const item = this.#items[0];
      if (item?.parts === undefined) return;
      this.#items.shift();
      this.waitingBytes -= item.bytes;
      this.sentBytes += item.bytes;
      this.#full = !this.#options.send(item.kind, item.parts, this.#outstand(item.done));
    }
  }

  #outstand(done: (() => void) | undefined): () => void {
    if (done === undefined) return nothing;
    const acked = (): void => {
      if (this.#outstanding.delete(acked)) done();
    };
    this.#outstanding.add(acked);
    return acked;
  }

  #account(): void {
    const nowMs = this.#options.now();
    const elapsedMs = nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
    if (this.#full) this.#fullMs += elapsedMs;
    else if (this.#items.length > 0) this.#makingMs += elapsedMs;
  }
}

function sizeOf(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}

function nothing(): void {}
