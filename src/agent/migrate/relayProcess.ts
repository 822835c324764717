import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import type { Logger } from "pino";
import { GodwitError, type WireError } from "../../errors/mod.ts";
import { type ProcessId, processId } from "../../qemu/mod.ts";
import {
  NO_FIGURES,
  type RelayEvent,
  type RelayFigures,
  type RelayOptions,
  type RelayOrder,
} from "../../relay/mod.ts";
import type { Carrier } from "./carrier.ts";

/** Of what a relay wrote before it died, the end is kept. */
const WORDS_MAX = 2_000;
/** How long a relay may take to pass an abort on and say its last word. */
const ABORT_MS = 1_000;
const LAST_WORD_MS = 3_000;

export type RelaySide = RelayOptions["side"];

/** One relay in a process of its own. Its last event is always `ended`, also when the process just dies. */
export class RelayProcess implements Carrier {
  readonly process: ProcessId | null;
  readonly #child: ChildProcess;
  readonly #side: RelaySide;
  readonly #onEvent: (event: RelayEvent) => void;
  readonly #log: Logger;
  readonly #gone = Promise.withResolvers<void>();
  #figures: RelayFigures | null = null;
  #words = "";
  #ended = false;
  #carries = false;
  #stopping = false;

  /**
   * Takes over a process that waits for `start`, most often since before the order came (spareRelay.ts).
   * @param onEvent  called for each event in order; `ended` comes once and last
   */
  constructor(child: ChildProcess, side: RelaySide, onEvent: (event: RelayEvent) => void, log: Logger) {
    this.#side = side;
    this.#onEvent = onEvent;
    this.#log = log;
    this.#child = child;
    this.process = child.pid === undefined ? null : processId(child.pid);
    log.debug({ relay: side, pid: child.pid }, "relay's process");
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#words = (this.#words + text).slice(-WORDS_MAX);
      log.warn({ relay: this.#side, says: text.trim() }, "relay's stderr");
    });
    this.#child.on("message", (event) => this.#take(event as RelayEvent));
    this.#child.once("error", (error) => this.#died(error.message));
    // "close", not "exit": its last words have been read by then.
    this.#child.once("close", (code, signal) => this.#died(signal ?? `status ${code}`));
  }

  start(options: RelayOptions): void {
    assert(options.side === this.#side, "a relay serves one side");
    this.#send(options);
  }

  /** The newest figures; null before the first. */
  get figures(): RelayFigures | null {
    return this.#figures;
  }

  /** Resolves when the process is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Does nothing when the relay has ended: its `ended` says so. */
  order(order: RelayOrder): void {
    this.#send(order);
  }

  /** Ends the relay, its peer is told the reason, and waits until its process is gone. Safe to call again. */
  async stop(error: WireError): Promise<void> {
    this.#stopping = true;
    this.order({ order: "abort", error });
    // One that carries ends by that order; one that waits, or keeps QEMU's connection open in doubt, needs telling.
    const term = setTimeout(() => this.#child.kill("SIGTERM"), this.#carries && !this.#ended ? ABORT_MS : 0);
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), LAST_WORD_MS);
    await this.gone;
    clearTimeout(term);
    clearTimeout(kill);
  }

  #send(message: RelayOptions | RelayOrder): void {
    if (!this.#child.connected) return;
    this.#child.send(message, (error) => {
      if (error !== null) this.#log.debug({ err: error, relay: this.#side }, "relay did not take an order");
    });
  }

  #take(event: RelayEvent): void {
    if (this.#ended) return;
    if (event.event === "progress" || event.event === "ended") this.#figures = event.figures;
    if (event.event !== "progress") this.#log.debug({ side: this.#side, relay: event }, "relay tells");
    if (event.event === "ended") {
      this.#ended = true;
      // In doubt it would stay.
      if (this.#stopping) this.#child.kill("SIGTERM");
    }
    if (event.event === "linkUp") this.#carries = true;
    this.#onEvent(event);
  }

  #died(how: string): void {
    if (!this.#ended) {
      this.#ended = true;
      const why = /^\w*Error.*$/m.exec(this.#words)?.[0];
      const reason = why === undefined ? how : `${how}, ${why}`;
      const error = new GodwitError("RELAY_ENDED", { side: this.#side, reason }).toJSON();
      this.#onEvent({ event: "ended", figures: this.#figures ?? NO_FIGURES, error });
    }
    this.#gone.resolve();
  }
}
