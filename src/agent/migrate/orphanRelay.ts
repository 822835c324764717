import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, type ProcessId, signal, waitForExit } from "../../qemu/mod.ts";
import type { RelayFigures } from "../../relay/mod.ts";
import type { Carrier } from "./carrier.ts";

const LOOK_MS = 100;
/** As long as a relay may take for its last words. */
const LAST_WORD_MS = 3_000;

/**
 * A relay whose agent has died. It undoes its move, or carries post-copy to its end (src/relay/child.ts), hears nobody and
 * tells nobody: it can only be seen, and ended.
 */
export class OrphanRelay implements Carrier {
  readonly process: ProcessId;
  readonly figures: RelayFigures | null = null;
  readonly gone: Promise<void>;
  #watched = true;

  /** @param process  of the former agent's record; it may have ended long ago */
  constructor(process: ProcessId) {
    this.process = process;
    this.gone = this.#watch();
  }

  get alive(): boolean {
    return isAlive(this.process);
  }

  order(): void {}

  async stop(): Promise<void> {
    signal(this.process, "SIGTERM");
    if (await waitForExit(this.process, LAST_WORD_MS)) return;
    signal(this.process, "SIGKILL");
    await waitForExit(this.process, LAST_WORD_MS);
  }

  /** Looks at it no longer; it goes on. */
  letGo(): void {
    this.#watched = false;
  }

  async #watch(): Promise<void> {
    while (this.#watched && this.alive) await sleep(LOOK_MS);
    // Never told of one that we let go.
    if (!this.#watched) await new Promise(() => undefined);
  }
}
