import type { PushOrder, Waiting } from "./types.ts";

/** Ascending from page 0; faults change nothing. A page that comes to wait behind others is the next at once. */
export class Linear implements PushOrder {
  readonly #waiting: Waiting;

  constructor(waiting: Waiting) {
    this.#waiting = waiting;
  }

  fault(): void {}

  next(): number {
    return this.#waiting.nextAt(0);
  }

  release(): void {}
}

/**
 * Ascending from the last fault, round the end; before the first fault as `Linear`. In the manner of QEMU, whose scan goes
 * on behind the page that was asked for.
 *
 * It keeps no place of its own beside the fault: what was sent waits no more, so the nearest that waits is the next, and a
 * page close to the fault that is drained late is not left behind.
 */
export class Forward implements PushOrder {
  readonly #waiting: Waiting;
  #pivot = 0;

  constructor(waiting: Waiting) {
    this.#waiting = waiting;
  }

  fault(page: number): void {
    this.#pivot = page;
  }

  next(): number {
    const page = this.#waiting.nextAt(this.#pivot);
    return page >= 0 ? page : this.#waiting.nextAt(0);
  }

  release(): void {}
}
