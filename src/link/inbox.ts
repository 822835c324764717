/** The receiving half of a session, without sockets or a clock: what came, what was released, when to acknowledge. */
import assert from "node:assert";
import { ACK_SOON, type ReceivePoint } from "../wire/mod.ts";

/** Releases that may wait for a timer; beyond, an acknowledgement is due at once. */
const LAZY_BYTES_MAX = 512 * 1024;

export class Inbox {
  #received = 0;
  #released = 0;
  #ackSent = 0;
  /** Released out of order, above `#released`. */
  readonly #early = new Set<number>();
  #flagged = 0;
  #lazyBytes = 0;

  get point(): ReceivePoint {
    return { receivedUpTo: this.#received, releasedUpTo: this.#released };
  }

  /** Whether every frame that came has been released and acknowledged. */
  get settled(): boolean {
    return this.#ackSent === this.#received;
  }

  /** @returns "duplicate" frames are dropped; a gap within one connection breaks the protocol */
  receive(sequence: number, flags: number): "deliver" | "duplicate" | "sequence_gap" {
    if (sequence <= this.#received) return "duplicate";
    if (sequence !== this.#received + 1) return "sequence_gap";
    this.#received = sequence;
    if ((flags & ACK_SOON) !== 0) this.#flagged = sequence;
    return "deliver";
  }

  /** @returns when to acknowledge: at once, or when it is convenient */
  release(sequence: number, bytes: number): "now" | "later" {
    assert(
      sequence > this.#released && sequence <= this.#received && !this.#early.has(sequence),
      "released once",
    );
    if (sequence === this.#released + 1) {
      this.#released++;
      while (this.#early.delete(this.#released + 1)) this.#released++;
    } else this.#early.add(sequence);
    this.#lazyBytes += bytes;
    const asked = this.#flagged > this.#ackSent && this.#flagged <= this.#released;
    return asked || this.#lazyBytes >= LAZY_BYTES_MAX ? "now" : "later";
  }

  /** What to acknowledge now, or undefined when the peer knows already. Counts as sent. */
  takeAck(): number | undefined {
    this.#lazyBytes = 0;
    if (this.#ackSent === this.#released) return undefined;
    this.#ackSent = this.#released;
    return this.#released;
  }

  /** The point has been told on a new connection: it acknowledges too. */
  told(point: ReceivePoint): void {
    this.#ackSent = point.releasedUpTo;
  }
}
