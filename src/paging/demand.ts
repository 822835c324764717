import type { PushOrder } from "./types.ts";

/** Pushes nothing until the guest has asked for nothing for a while; each fault makes it hold again. */
export class Demand implements PushOrder {
  readonly #released: PushOrder;
  #holds = true;

  /** @param released  what it pushes by while it does */
  constructor(released: PushOrder) {
    this.#released = released;
  }

  fault(page: number): void {
    this.#holds = true;
    this.#released.fault(page);
  }

  next(): number {
    return this.#holds ? -1 : this.#released.next();
  }

  release(): void {
    this.#holds = false;
    this.#released.release();
  }
}
