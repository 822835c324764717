/** Timers, immediates and the monotonic clock of whatever runs inside a world; outside of it, Node's own. */
import { present } from "./active.ts";
import type { SimProcess, Simulation, Task } from "./simulation.ts";

type Callback = (...args: unknown[]) => void;

/** What setTimeout and setInterval give inside a world. */
class SimTimer {
  readonly #simulation: Simulation;
  readonly #process: SimProcess;
  readonly #run: () => void;
  readonly #ms: number;
  readonly #repeats: boolean;
  #task: Task;

  constructor(simulation: Simulation, run: () => void, ms: number, repeats: boolean) {
    this.#simulation = simulation;
    this.#process = simulation.current;
    this.#run = run;
    // Node's own bounds: at least 1 ms, and what does not fit 31 bits becomes 1.
    this.#ms = ms >= 1 && ms <= 2 ** 31 - 1 ? ms : 1;
    this.#repeats = repeats;
    this.#task = this.#schedule();
  }

  #schedule(): Task {
    return this.#simulation.schedule(
      this.#ms,
      () => {
        if (this.#repeats) this.#task = this.#schedule();
        this.#run();
      },
      this.#process,
    );
  }

  close(): void {
    this.#simulation.cancel(this.#task);
  }

  refresh(): this {
    this.close();
    this.#task = this.#schedule();
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

/** Puts them into the place of Node's own. Once per process. */
export function installTimers(): void {
  const real = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate };
  const realNow = performance.now.bind(performance);
  const timer =
    (own: (...args: never[]) => unknown, repeats: boolean) =>
    (run: Callback, ms = 1, ...args: unknown[]) => {
      const world = present();
      if (world === undefined) return (own as unknown as (...all: unknown[]) => unknown)(run, ms, ...args);
      return new SimTimer(world.simulation, () => run(...args), ms, repeats);
    };
  const clear = (own: (timer: never) => void) => (given: unknown) => {
    if (given instanceof SimTimer) given.close();
    else own(given as never);
  };
  Object.assign(globalThis, {
    setTimeout: timer(real.setTimeout as never, false),
    setInterval: timer(real.setInterval as never, true),
    setImmediate: (run: Callback, ...args: unknown[]) => {
      const world = present();
      if (world === undefined) return real.setImmediate(run, ...args);
      return world.simulation.schedule(0, () => run(...args));
    },
    clearTimeout: clear(real.clearTimeout),
    clearInterval: clear(real.clearInterval),
  });
  Object.defineProperty(performance, "now", {
    value: () => present()?.simulation.nowMs ?? realNow(),
    configurable: true,
  });
}
