import { GodwitError } from "../errors/mod.ts";
import type { QmpEvent } from "./commands.ts";

/** An iterator that nobody reads must not hold events for ever: the oldest go first. */
const EVENTS_HELD_MAX = 1024;

type Listener = (event: QmpEvent) => void;

/** The events of one monitor, for several readers. Ends once, with the reason why. */
export class EventHub {
  readonly #listeners = new Set<Listener>();
  readonly #enders = new Set<(why: GodwitError) => void>();
  #ended: GodwitError | null = null;

  emit(event: QmpEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  end(why: GodwitError): void {
    if (this.#ended !== null) return;
    this.#ended = why;
    for (const ender of [...this.#enders]) ender(why);
    this.#enders.clear();
    this.#listeners.clear();
  }

  /** Calls back for each event until the returned function is called. */
  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The next event of this name that satisfies `when`.
   * Errors: QMP_TIMEOUT after `timeoutMs`; the reason of the end when the monitor closes first.
   */
  waitFor(name: string, when: (event: QmpEvent) => boolean, timeoutMs: number): Promise<QmpEvent> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended);
      const done = () => {
        clearTimeout(timer);
        off();
        this.#enders.delete(ended);
      };
      const ended = (why: GodwitError) => {
        done();
        reject(why);
      };
      const off = this.on((event) => {
        if (event.event !== name || !when(event)) return;
        done();
        resolve(event);
      });
      const timer = setTimeout(
        () => ended(new GodwitError("QMP_TIMEOUT", { command: `wait for ${name}`, timeoutMs })),
        timeoutMs,
      );
      this.#enders.add(ended);
    });
  }

  /** All events from now on. Finishes (without an error) when the monitor closes or the loop is left. */
  async *iterate(): AsyncGenerator<QmpEvent, void, void> {
    const held: QmpEvent[] = [];
    let wake: (() => void) | null = null;
    const off = this.on((event) => {
      held.push(event);
      if (held.length > EVENTS_HELD_MAX) held.shift();
      wake?.();
    });
    const ended = () => wake?.();
    this.#enders.add(ended);
    try {
      for (;;) {
        const event = held.shift();
        if (event !== undefined) yield event;
        else if (this.#ended !== null) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      off();
      this.#enders.delete(ended);
    }
  }
}
