import type { AgentEvent, Clock, EventBus } from "./context.ts";

/** Events of this agent. Kept nowhere: who was not listening asks for the state instead. */
export class Bus implements EventBus {
  readonly #listeners = new Set<(event: AgentEvent) => void>();
  readonly #clock: Clock;
  #seq = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  emit(type: string, data: object): void {
    const event: AgentEvent = { seq: ++this.#seq, atMs: this.#clock.wallMs(), type, data };
    for (const listener of [...this.#listeners]) listener(event);
  }

  on(listener: (event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
