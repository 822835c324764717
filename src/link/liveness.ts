import type { Timing } from "./options.ts";

/** Whether the peer of one connection still lives, and how far away it is. No clock, no socket. */
export class Liveness {
  readonly #timing: Timing;
  #token = 0;
  #pingAtMs: number;
  #heardAtMs: number;
  #tickAtMs: number;
  #heardBytes: number;
  /** Smoothed and shortest round trip of this connection. */
  roundTripMs: number | undefined;
  roundTripMsMin: number | undefined;

  constructor(timing: Timing, nowMs: number, receivedBytes: number) {
    this.#timing = timing;
    this.#pingAtMs = this.#heardAtMs = this.#tickAtMs = nowMs;
    this.#heardBytes = receivedBytes;
  }

  /** The token of a ping that is sent now. */
  ping(nowMs: number): number {
    this.#pingAtMs = nowMs;
    return ++this.#token;
  }

  /** An answer to an older ping than the last says nothing and is ignored. */
  pong(token: number, nowMs: number): void {
    if (token !== this.#token) return;
    const ms = nowMs - this.#pingAtMs;
    this.roundTripMs = this.roundTripMs === undefined ? ms : this.roundTripMs + (ms - this.roundTripMs) / 8;
    this.roundTripMsMin = Math.min(this.roundTripMsMin ?? ms, ms);
  }

  /**
   * Several times per `pingMs`.
   * @param receivedBytes  all bytes of this connection so far
   * @param stopped  we ourselves do not read: then silence says nothing about the peer
   */
  tick(nowMs: number, receivedBytes: number, stopped: boolean): "dead" | "ping" | "well" {
    const heldUp = nowMs - this.#tickAtMs > this.#timing.deadMs / 2;
    this.#tickAtMs = nowMs;
    // When our own event loop was held up, what came meanwhile has not been read yet.
    if (receivedBytes !== this.#heardBytes || stopped || heldUp) {
      this.#heardBytes = receivedBytes;
      this.#heardAtMs = nowMs;
    }
    if (nowMs - this.#heardAtMs >= this.#timing.deadMs) return "dead";
    return nowMs - this.#pingAtMs >= this.#timing.pingMs ? "ping" : "well";
  }
}
