import type net from "node:net";
import { type LocalListener, listenLocal } from "./localSocket.ts";

/** A local socket that can stop taking connections for a while; then its path is gone, too. */
export class Door {
  readonly #where: Parameters<typeof listenLocal>[0];
  readonly #accepted: (socket: net.Socket) => void;
  #listener: LocalListener | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(where: Parameters<typeof listenLocal>[0], accepted: (socket: net.Socket) => void) {
    this.#where = where;
    this.#accepted = accepted;
  }

  /** Does nothing when it is open, or was closed for good. @throws what `listenLocal` throws */
  async open(): Promise<void> {
    if (this.#listener !== undefined || this.#opening !== undefined || this.#closed) return;
    const opening = listenLocal(this.#where, this.#accepted);
    this.#opening = opening.then(
      () => undefined,
      () => undefined,
    );
    try {
      this.#listener = await opening;
    } finally {
      this.#opening = undefined;
    }
  }

  /** Takes no more connections until `open`: at once, a connection tried after this call is refused. */
  async shut(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.close();
  }

  /** For good. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening;
    await this.shut();
  }
}
