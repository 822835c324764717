/** A QEMU's monitor as an agent has it: commands and events take a moment, and time limits count. */
import { GodwitError } from "../../src/errors/mod.ts";
import type { Monitor } from "../../src/qemu/mod.ts";
import { here } from "../engine/active.ts";
import type { SimProcess } from "../engine/simulation.ts";
import type { Qemu, QmpEventBody } from "./qemu.ts";

const LATENCY_MS = 0.3;
const TIMEOUT_MS = 10_000;

interface Options {
  readonly timeoutMs?: number;
  readonly oob?: boolean;
}

/** What of Monitor the migration half of an agent uses. */
export type SimMonitor = Pick<
  Monitor,
  "execute" | "onEvent" | "closed" | "yankMigration" | "outOfBand" | "oob" | "close"
>;

/** Opens the monitor of a QEMU for the agent process that runs now. */
export function openMonitor(qemu: Qemu): Monitor {
  const agent = here().simulation.current;
  const main = new Line(qemu, agent);
  const monitor = {
    execute: (name: string, args: object = {}, options: Options = {}) => main.execute(name, args, options),
    onEvent: (listener: (event: QmpEventBody) => void) => main.onEvent(listener),
    get closed() {
      return main.closed;
    },
    main,
    oob: main,
    yankMigration: () => main.execute("yank", {}, { oob: true }),
    outOfBand: (name: string, args: object) => main.execute(name, args, { oob: true }),
    close: () => undefined,
  };
  return monitor as unknown as Monitor;
}

class Line {
  readonly #qemu: Qemu;
  readonly #agent: SimProcess;
  readonly closed: Promise<GodwitError>;
  isClosed = false;
  readonly #calls = new Set<(error: Error) => void>();
  #lastMs = 0;

  constructor(qemu: Qemu, agent: SimProcess) {
    this.#qemu = qemu;
    this.#agent = agent;
    this.closed = new Promise((resolve) => {
      qemu.process.onDeath(() => {
        this.#toAgent(() => {
          this.isClosed = true;
          const error = new GodwitError("QMP_CLOSED", { monitor: "main", reason: "the process has ended" });
          for (const reject of [...this.#calls]) reject(error);
          resolve(error);
        });
      });
    });
  }

  onEvent(listener: (event: QmpEventBody) => void): () => void {
    let heard = true;
    const off = this.#qemu.listen((event) => {
      this.#toAgent(() => {
        if (heard) listener(event);
      });
    });
    return () => {
      heard = false;
      off();
    };
  }

  execute(command: string, args: object, options: Options): Promise<unknown> {
    const { simulation, network } = here();
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      if (this.isClosed || !this.#qemu.process.alive) {
        simulation.schedule(0.05, () =>
          reject(new GodwitError("QMP_CLOSED", { monitor: "main", reason: "closed" })),
        );
        return;
      }
      let settled = false;
      const settle = (act: () => void) => {
        if (settled) return;
        settled = true;
        this.#calls.delete(fail);
        act();
      };
      const fail = (error: Error) => settle(() => reject(error));
      this.#calls.add(fail);
      if (timeoutMs > 0)
        simulation.schedule(timeoutMs, () => fail(new GodwitError("QMP_TIMEOUT", { command, timeoutMs })));
      simulation.schedule(
        LATENCY_MS * network.random.float(),
        () => {
          this.#qemu.command(command, { ...args }, options.oob === true).then(
            (answer) => this.#toAgent(() => settle(() => resolve(answer))),
            (error: Error) => this.#toAgent(() => fail(error)),
          );
        },
        this.#qemu.process,
      );
    });
  }

  /** In order: answers and events come over one socket. */
  #toAgent(act: () => void): void {
    const { simulation, network } = here();
    this.#lastMs = Math.max(this.#lastMs, simulation.nowMs + LATENCY_MS * network.random.float());
    simulation.schedule(this.#lastMs - simulation.nowMs, act, this.#agent);
  }
}
