import { createHash, timingSafeEqual } from "node:crypto";
import { GodwitError } from "../errors/mod.ts";

/** The word that opens a session. Compared in a time that says nothing about it; only its hash is kept. */
export class TicketCheck {
  readonly #hash: Buffer;
  readonly #onceWithinMs: number | undefined;
  readonly #sinceMs: number;
  #used = false;

  /**
   * @param onceWithinMs  it opens one session, so long after `nowMs` at most; undefined: any number, at any time
   * @param nowMs  monotonic, as all times here
   */
  constructor(ticket: string, onceWithinMs: number | undefined, nowMs: number) {
    this.#hash = hash(new TextEncoder().encode(ticket));
    this.#onceWithinMs = onceWithinMs;
    this.#sinceMs = nowMs;
  }

  /** Whether it is the word, good or not: a session that exists is resumed by it. */
  fits(ticket: Uint8Array): boolean {
    return timingSafeEqual(hash(ticket), this.#hash);
  }

  /** Why it opens no session at `address`; undefined: it does. */
  faultOfNew(ticket: Uint8Array, address: string, nowMs: number): GodwitError | undefined {
    if (!this.fits(ticket)) return new GodwitError("TICKET_REFUSED", { address });
    if (this.#onceWithinMs === undefined) return undefined;
    if (this.#used) return new GodwitError("TICKET_USED", { address });
    if (nowMs - this.#sinceMs <= this.#onceWithinMs) return undefined;
    return new GodwitError("TICKET_EXPIRED", { address, afterMs: this.#onceWithinMs });
  }

  /** It has opened a session. */
  use(): void {
    this.#used = true;
  }
}

/** Of equal length whatever the input: what timingSafeEqual needs. */
function hash(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
