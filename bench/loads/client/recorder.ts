import { nowMs } from "../../clock.ts";
import type { Operations } from "../../types.ts";

/** Keeps what requests took until it is taken. */
export class Recorder {
  #endedAtMs: number[] = [];
  #latencyMs: number[] = [];
  #requestsLost = 0;
  #connectionsLost = 0;

  /** A request that began then was answered, rightly, now. */
  answered(beganAtMs: number): void {
    const endedAtMs = nowMs();
    this.#endedAtMs.push(endedAtMs);
    this.#latencyMs.push(endedAtMs - beganAtMs);
  }

  /** No answer, or a wrong one. */
  requestLost(): void {
    this.#requestsLost++;
  }

  connectionLost(): void {
    this.#connectionsLost++;
  }

  /** Everything since the last call. */
  take(): Operations {
    const taken = {
      endedAtMs: Float64Array.from(this.#endedAtMs),
      latencyMs: Float64Array.from(this.#latencyMs),
      requestsLost: this.#requestsLost,
      connectionsLost: this.#connectionsLost,
    };
    this.#endedAtMs = [];
    this.#latencyMs = [];
    this.#requestsLost = this.#connectionsLost = 0;
    return taken;
  }
}
