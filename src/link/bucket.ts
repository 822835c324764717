/** Cap of bytes per second that can be changed while running. May go into debt by one frame, so no frame is split. */
export class TokenBucket {
  #bytesPerSec: number;
  #tokens = 0;
  #atMs: number;

  /** @param bytesPerSec >= 0; 0 = no cap */
  constructor(bytesPerSec: number, nowMs: number) {
    this.#bytesPerSec = bytesPerSec;
    this.#atMs = nowMs;
  }

  set(bytesPerSec: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#bytesPerSec = bytesPerSec;
    // A debt made at the old rate would be paid off at the new one: forgive it. What was saved is cut on refill.
    this.#tokens = Math.max(0, this.#tokens);
  }

  /** 0 when something may be sent now, else the time until then, ms. */
  waitMs(nowMs: number): number {
    if (this.#bytesPerSec === 0) return 0;
    this.#refill(nowMs);
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1000) / this.#bytesPerSec;
  }

  spend(bytes: number): void {
    if (this.#bytesPerSec !== 0) this.#tokens -= bytes;
  }

  /** What may be saved up: 10 ms of the rate. More would let a burst through; less loses to the timer's granularity. */
  #refill(nowMs: number): void {
    const savedMax = this.#bytesPerSec / 100;
    const gained = ((nowMs - this.#atMs) * this.#bytesPerSec) / 1000;
    this.#tokens = Math.min(savedMax, this.#tokens + gained);
    this.#atMs = nowMs;
  }
}
