import { setTimeout as sleep } from "node:timers/promises";

/** Lets requests begin, or none; knows how many are under way. */
export class Gate {
  #open = Promise.withResolvers<void>();
  #underWay = 0;

  constructor() {
    this.#open.resolve();
  }

  /** Waits until requests may begin, and counts one until `leave`. */
  async enter(): Promise<void> {
    let open: Promise<void>;
    do {
      open = this.#open.promise;
      await open;
    } while (open !== this.#open.promise); // closed again in the meantime
    this.#underWay++;
  }

  leave(): void {
    this.#underWay--;
  }

  /** No request begins from now on; resolves when none is under way, or after `patienceMs`. */
  async close(patienceMs: number): Promise<void> {
    this.#open = Promise.withResolvers();
    for (let waited = 0; this.#underWay > 0 && waited < patienceMs; waited += 5) await sleep(5);
  }

  reopen(): void {
    this.#open.resolve();
  }
}
