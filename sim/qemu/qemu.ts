/**
 * A QEMU process as far as a migration sees it: run state, monitor, memory, one migration out or in. What it does at which
 * moment follows docs/stream.md and what was seen of 7.2 and 10.0.
 */
import { GodwitError } from "../../src/errors/mod.ts";
import { Random } from "../engine/random.ts";
import { SimProcess, type Simulation } from "../engine/simulation.ts";
import { Incoming } from "./incoming.ts";
import type { Machine, QemuWorld, RunState } from "./machine.ts";
import { type Memory, Writer } from "./memory.ts";
import { Outgoing } from "./outgoing.ts";

export interface QmpEventBody {
  readonly event: string;
  readonly data: Record<string, unknown>;
  readonly timestampMs: number;
}

export interface QemuOptions {
  readonly simulation: Simulation;
  readonly host: string;
  readonly name: string;
  readonly version: string;
  readonly memory: Memory;
  readonly incoming: boolean;
  readonly writesPerMs: number;
  readonly world: QemuWorld;
}

let pids = 1000;
const NOTHING: ReadonlySet<number> = new Set();
/** The same patterns in each world: made once. */
const PATTERN_SOURCE = new Random(1, "patterns");

export class Qemu implements Machine {
  readonly simulation: Simulation;
  readonly process: SimProcess;
  readonly pid: number;
  readonly name: string;
  readonly version: string;
  readonly memory: Memory;
  readonly world: QemuWorld;
  readonly random: Random;
  state: RunState;
  /** `cont` came before the guest was here. */
  autostart = false;
  capabilities = new Set<string>();
  downtimeLimitMs = 300;
  outgoing: Outgoing | undefined;
  incoming: Incoming | undefined;
  /** Pages written since the last sync; only while a migration looks. */
  dirty: Set<number> | undefined;
  /** The main loop does not answer: QMP waits. */
  #hangs = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #listeners = new Set<(event: QmpEventBody) => void>();
  readonly #writer: Writer;
  readonly #writesPerMs: number;
  #writtenUpToMs: number;

  constructor(options: QemuOptions) {
    const { simulation, name, host, memory } = options;
    this.simulation = simulation;
    this.process = new SimProcess(`qemu.${host}`, host);
    this.pid = pids++;
    this.name = name;
    this.version = options.version;
    this.memory = memory;
    this.world = options.world;
    this.random = simulation.random(`qemu ${host} ${this.simulation.steps}`);
    this.#writer = new Writer(memory, simulation.random(`guest ${host}`), PATTERN_SOURCE);
    this.#writesPerMs = options.writesPerMs;
    this.#writtenUpToMs = simulation.nowMs;
    this.state = options.incoming ? "inmigrate" : "paused";
    this.process.onDeath(() => {
      const ran = this.state === "running";
      this.state = "postmigrate";
      if (ran) this.world.guestStops(this);
    });
  }

  /** Is 9.0 or newer: the states and the sudden restarts of 10.0. */
  get modern(): boolean {
    return !this.version.startsWith("7.");
  }

  get running(): boolean {
    return this.process.alive && this.state === "running";
  }

  get missing(): ReadonlySet<number> {
    return this.incoming?.missing ?? NOTHING;
  }

  fill(): void {
    this.#writer.fill();
  }

  /** Makes the guest's writing up to date. Lazy: nobody looks at its memory in between. */
  settleWrites(): void {
    const { nowMs } = this.simulation;
    const writes = Math.floor((nowMs - this.#writtenUpToMs) * this.#writesPerMs);
    if (!this.running) {
      this.#writtenUpToMs = nowMs;
      return;
    }
    if (writes === 0) return;
    this.#writtenUpToMs += writes / this.#writesPerMs;
    // Of a long time nobody looked at, the last part is enough.
    for (let i = Math.min(writes, 400); i > 0; i--) {
      const page = this.#writer.write();
      this.dirty?.add(page);
    }
  }

  /** One write of the guest, now. @returns the page */
  writeOnce(): number {
    return this.#writer.write();
  }

  run(): void {
    if (this.state === "running") return;
    this.#writtenUpToMs = this.simulation.nowMs;
    this.state = "running";
    this.simulation.trace("guest RUNS");
    this.emit("RESUME");
    this.world.guestRuns(this);
  }

  stop(state: RunState): void {
    const ran = this.state === "running";
    if (ran) this.settleWrites();
    this.state = state;
    if (!ran) return;
    this.simulation.trace(`guest stops: ${state}`);
    this.world.guestStops(this);
    this.emit("STOP");
  }

  emit(event: string, data: Record<string, unknown> = {}): void {
    const body = { event, data, timestampMs: this.simulation.nowMs };
    for (const listener of [...this.#listeners]) listener(body);
  }

  listen(listener: (event: QmpEventBody) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The main loop is held up until the release. */
  hang(): () => void {
    this.#hangs++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#hangs > 0) return;
      for (const go of this.#waiting.splice(0)) this.simulation.schedule(0.05, go, this.process);
    };
  }

  get hangs(): boolean {
    return this.#hangs > 0;
  }

  /** A command of the monitor, when the main loop has time for it; out of band at once. */
  command(name: string, args: Record<string, unknown>, outOfBand: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        if (this.hangs && !outOfBand) return void this.#waiting.push(go);
        try {
          this.simulation.trace(`qmp ${name} ${JSON.stringify(args)}`);
          resolve(this.#execute(name, args));
        } catch (error) {
          reject(error as Error);
        }
      };
      go();
    });
  }

  #execute(name: string, args: Record<string, unknown>): unknown {
    const refuse = (desc: string): GodwitError =>
      new GodwitError("QMP_ERROR", { command: name, class: "GenericError", desc });
    const { outgoing, incoming } = this;
    switch (name) {
      case "query-status":
        return { status: this.state, running: this.state === "running" };
      case "query-migrate":
        return outgoing?.info() ?? incoming?.info() ?? {};
      case "query-migrate-capabilities":
        return ["events", "return-path", "postcopy-ram"].map((capability) => ({
          capability,
          state: this.capabilities.has(capability),
        }));
      case "migrate-set-capabilities":
        for (const { capability, state } of args["capabilities"] as { capability: string; state: boolean }[])
          if (state) this.capabilities.add(capability);
          else this.capabilities.delete(capability);
        return {};
      case "migrate-set-parameters":
        this.downtimeLimitMs = Number(args["downtime-limit"] ?? this.downtimeLimitMs);
        return {};
      case "migrate": {
        if (this.state === "postmigrate") throw refuse("paused due to previous migration");
        if (outgoing?.live) throw refuse("There's a migration process in progress");
        this.outgoing = new Outgoing(this, String(args["uri"]).replace(/^unix:/, ""));
        return {};
      }
      case "migrate-incoming":
        this.incoming = new Incoming(this, String(args["uri"]).replace(/^unix:/, ""));
        return {};
      case "migrate-recover":
        if (incoming === undefined || !incoming.recover(String(args["uri"]).replace(/^unix:/, "")))
          throw refuse("Migrate recover can only be run when postcopy is paused.");
        return {};
      case "migrate-start-postcopy":
        if (outgoing === undefined || !outgoing.live) throw refuse("Start postcopy after migration start");
        if (!this.capabilities.has("postcopy-ram")) throw refuse("Enable postcopy-ram first");
        outgoing.startPostcopy();
        return {};
      case "migrate_cancel":
        if (outgoing !== undefined && !outgoing.cancel())
          throw refuse("Postcopy migration in progress, cannot cancel");
        return {};
      case "yank":
        if (outgoing === undefined || !outgoing.live) throw refuse("no such instance");
        outgoing.yank();
        return {};
      case "stop":
        if (this.state === "running") this.stop("paused");
        return {};
      case "cont":
        return this.#cont(refuse);
      case "quit":
        this.simulation.schedule(1, () => this.process.die(), this.process);
        return {};
      default:
        throw refuse(`The command ${name} has not been found`);
    }
  }

  #cont(refuse: (desc: string) => GodwitError): unknown {
    if (this.state === "finish-migrate") throw refuse("Migration is not finalized yet");
    if (this.state === "inmigrate") this.autostart = true;
    // A guest that moved on can be continued all the same: nothing in QEMU keeps it from running twice.
    else this.run();
    return {};
  }
}
