/**
 * A relay's process as its agent sees it (a ChildProcess), with the real relay inside. What src/relay/child.ts does around
 * the relay is doubled here, since that file is bound to a process of its own: `#start`, `#leave`, `#orphaned`.
 */
import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { EXIT, GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import {
  NO_FIGURES,
  type RelayEvent,
  type RelayOptions,
  type RelayOrder,
  type RunningRelay,
  startRelay,
} from "../../src/relay/mod.ts";
import { here } from "../engine/active.ts";
import { SimProcess, type Simulation } from "../engine/simulation.ts";

const IPC_MS = 0.2;

/** What the world hears of each relay's life. */
export interface RelayWatch {
  forked(child: RelayChild): void;
  /** Its agent sees no other way to end it. */
  killed(child: RelayChild): void;
  started(side: RelayOptions["side"], child: RelayChild): void;
  told(side: RelayOptions["side"], event: RelayEvent): void;
}

class Stderr extends EventEmitter {
  setEncoding(): this {
    return this;
  }
}

let pids = 5000;

export class RelayChild extends EventEmitter {
  connected = true;
  exitCode: number | null = null;
  signalCode: string | null = null;
  readonly pid = pids++;
  readonly stderr = new Stderr();
  readonly process: SimProcess;
  side: RelayOptions["side"] | undefined;
  readonly #simulation: Simulation;
  readonly #agent: SimProcess;
  readonly #watch: RelayWatch;
  #relay: RunningRelay | undefined;
  #postcopy = false;
  #toAgentMs = 0;
  #toRelayMs = 0;
  #orphan = false;

  constructor(agent: SimProcess, watch: RelayWatch) {
    super();
    this.#simulation = here().simulation;
    this.#agent = agent;
    this.#watch = watch;
    this.process = new SimProcess(`relay.${agent.host}`, agent.host);
    watch.forked(this);
    agent.onDeath(() => {
      this.#orphan = true;
      this.#toRelay(() => void this.#orphaned());
    });
    this.process.onDeath(() => {
      this.#toAgent(() => {
        this.connected = false;
        this.emit("exit", this.exitCode, this.signalCode);
        this.emit("close", this.exitCode, this.signalCode);
      });
    });
  }

  /** For whoever takes it for a child process. */
  get asChild(): ChildProcess {
    return this as unknown as ChildProcess;
  }

  send(message: object, sent?: (error: Error | null) => void): boolean {
    const copy = JSON.parse(JSON.stringify(message)) as RelayOptions | RelayOrder;
    this.#toRelay(() => {
      if ("side" in copy) void this.#start(copy);
      else if ("order" in copy) this.#relay?.order(copy);
    });
    sent?.(null);
    return true;
  }

  kill(signal = "SIGTERM"): boolean {
    if (signal === "SIGKILL") this.#watch.killed(this);
    if (signal === "SIGKILL") this.#simulation.schedule(0.05, () => this.#exit(null, signal), this.process);
    else this.#toRelay(() => void this.#leave());
    return true;
  }

  /** A fault: it is gone at once. */
  murder(): void {
    this.signalCode = "SIGKILL";
    this.process.die();
  }

  async #start(options: RelayOptions): Promise<void> {
    this.side = options.side;
    this.#watch.started(options.side, this);
    try {
      this.#relay = await startRelay(options, {
        event: (event) => this.#event(event),
        log: (line) => this.#simulation.trace(line),
      });
    } catch (error) {
      if (!isGodwitError(error)) return this.#simulation.caught(error);
      this.#tell({ event: "ended", figures: NO_FIGURES, error: error.toJSON() });
      this.#simulation.schedule(IPC_MS, () => this.#exit(error.exitCode, null), this.process);
    }
  }

  #event(event: RelayEvent): void {
    if (event.event !== "progress") this.#simulation.trace(`relay ${this.side}: ${line(event)}`);
    this.#watch.told(this.side!, event);
    this.#postcopy ||= event.event === "recovered";
    this.#postcopy ||=
      (event.event === "barrier" || event.event === "verdict") && event.barrier === "package";
    this.#tell(event);
    if (ends(event)) this.#simulation.schedule(IPC_MS, () => void this.#leave(), this.process);
  }

  #tell(event: RelayEvent): void {
    if (this.#orphan) return;
    // Ten times a second, and nobody changes it: no copy.
    const copy = event.event === "progress" ? event : (JSON.parse(JSON.stringify(event)) as RelayEvent);
    this.#toAgent(() => this.emit("message", copy));
  }

  async #leave(): Promise<void> {
    await this.#relay?.close(new GodwitError("INTERRUPTED", { signal: "the end of the migration" }));
    this.#exit(0, null);
  }

  async #orphaned(): Promise<void> {
    const reason = new GodwitError("INTERRUPTED", { signal: "the end of the agent" });
    if (this.#postcopy) {
      this.#relay?.order({ order: "releaseShut" });
      await this.#relay?.retire(reason);
      return;
    }
    await this.#relay?.close(reason);
    this.#exit(0, null);
  }

  #exit(code: number | null, signal: string | null): void {
    this.exitCode = code;
    this.signalCode = signal;
    this.process.die();
  }

  #toAgent(act: () => void): void {
    this.#toAgentMs = this.#later(this.#toAgentMs);
    this.#simulation.schedule(this.#toAgentMs - this.#simulation.nowMs, act, this.#agent);
  }

  #toRelay(act: () => void): void {
    this.#toRelayMs = this.#later(this.#toRelayMs);
    this.#simulation.schedule(this.#toRelayMs - this.#simulation.nowMs, act, this.process);
  }

  #later(lastMs: number): number {
    return Math.max(lastMs, this.#simulation.nowMs + IPC_MS * here().network.random.float());
  }
}

function ends(event: RelayEvent): boolean {
  if (event.event === "letGo") return true;
  if (event.event !== "ended") return false;
  return event.error === null || GodwitError.fromWire(event.error).exitCode !== EXIT.inDoubt;
}

function line(event: RelayEvent): string {
  if (event.event === "ended") return `ended ${event.error?.message ?? "well"}`;
  if (event.event === "ram") return `ram ${event.bytes}`;
  return Object.values(event).join(" ");
}
