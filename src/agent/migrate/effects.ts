import type { WireError } from "../../errors/mod.ts";

interface Batch<E> {
  readonly effects: readonly E[];
  /** Made before anything had failed: what is left of it is dropped once something has. */
  readonly hopeful: boolean;
}

export interface EffectRunnerOptions<E> {
  readonly run: (effect: E) => Promise<void>;
  /** The error of the machine's state now; null while all is well. */
  readonly failing: () => WireError | null;
  /** An effect failed: the rest of its batch is dropped. */
  readonly failed: (effect: E, error: unknown) => void;
}

/** Carries out effects one after another, in the order in which the steps gave them. */
export class EffectRunner<E> {
  readonly #options: EffectRunnerOptions<E>;
  readonly #batches: Batch<E>[] = [];
  #running = false;
  #idle = Promise.resolve();

  constructor(options: EffectRunnerOptions<E>) {
    this.#options = options;
  }

  add(effects: readonly E[]): void {
    if (effects.length === 0) return;
    this.#batches.push({ effects, hopeful: this.#options.failing() === null });
    if (!this.#running) this.#idle = this.#drain();
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#running) await this.#idle;
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let batch = this.#batches.shift(); batch; batch = this.#batches.shift()) {
      for (const effect of batch.effects) {
        if (batch.hopeful && this.#options.failing() !== null) break;
        try {
          await this.#options.run(effect);
        } catch (error) {
          this.#options.failed(effect, error);
          break;
        }
      }
    }
    this.#running = false;
  }
}
