/** An agent's process: the real migration half over a simulated host. Dies and comes back with what is on the disk. */
import type { Logger } from "pino";
import type { AgentContext } from "../../src/agent/context.ts";
import { Arrivals } from "../../src/agent/migrate/arrivals.ts";
import { Departures } from "../../src/agent/migrate/departures.ts";
import { settleLeftOver } from "../../src/agent/migrate/restart.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { here } from "../engine/active.ts";
import { SimProcess, type Simulation } from "../engine/simulation.ts";
import type { Disk } from "./history.ts";
import { RelayChild, type RelayWatch } from "./relayChild.ts";
import { SimVms, type VmStore } from "./vms.ts";

export interface AgentOptions {
  readonly simulation: Simulation;
  readonly host: string;
  readonly ip: string;
  readonly port: number;
  readonly store: VmStore;
  readonly disk: Disk;
  /** The host's wall clock is so far ahead. */
  readonly skewMs: number;
  readonly watch: AgentWatch;
}

export interface AgentWatch extends RelayWatch {
  /** A move has come into this phase here. */
  phase(side: "source" | "target", id: string, phase: string): void;
}

const TICKET_MS = 60_000;
/** An agent here is killed or goes on: none ends in order. */
const ENDS = new AbortController();

export class SimAgent {
  readonly process: SimProcess;
  readonly departures: Departures;
  readonly arrivals: Arrivals;
  readonly context: AgentContext;
  /** What the agent before left over has been looked at. */
  ready = false;

  constructor(options: AgentOptions) {
    const { simulation, host, ip, port } = options;
    this.process = new SimProcess(`agent.${host}`, host);
    const made = simulation.as(this.process, () => {
      const context = this.#context(options);
      return { context, departures: new Departures(context), arrivals: new Arrivals(context) };
    });
    this.context = made.context;
    this.departures = made.departures;
    this.arrivals = made.arrivals;
    here().network.listen(`${ip}:${port}`, { process: this.process, accept: (wire) => wire.server.close() });
    simulation.schedule(
      0,
      () => {
        void settleLeftOver(this.context, this, ENDS.signal).then(() => {
          this.ready = true;
        });
      },
      this.process,
    );
  }

  #context(options: AgentOptions): AgentContext {
    const { simulation, host, ip, port, store, disk, skewMs, watch } = options;
    const { process } = this;
    return {
      host,
      runDir: `/run/${host}`,
      log: logger(simulation, watch, {}),
      clock: { wallMs: () => 1.7e12 + skewMs + simulation.nowMs, monoMs: () => simulation.nowMs },
      vms: new SimVms(store),
      history: disk,
      events: { emit: () => undefined, on: () => () => undefined },
      peerAddress: `${ip}:${port}`,
      insecure: true,
      ...{ tls: null, ticketMs: TICKET_MS, onRefused: () => undefined },
      relayPorts: { take: async () => ({ port: 0, release: () => undefined }) },
      relays: { take: () => new RelayChild(process, watch).asChild, close: async () => undefined },
      balloons: { guard: () => undefined },
      qemu: null,
    } as unknown as AgentContext;
  }
}

/** Traces, and tells the phases that moves come to. */
function logger(simulation: Simulation, watch: AgentWatch, bound: Record<string, unknown>): Logger {
  const write = (fields: Record<string, unknown>, text: string): void => {
    const side = /^(source|target)'s phase$/.exec(text)?.[1] as "source" | "target" | undefined;
    if (side !== undefined) watch.phase(side, String(bound["migration"]), String(fields["to"]));
    // "BUG": something was thrown that nobody expected, and was told as an error so that the guest lives.
    if (text === "could not be carried out" && !isGodwitError(fields["err"]))
      simulation.caught(fields["err"]);
    if (simulation.traces) simulation.trace(`${text} ${JSON.stringify(fields, shown)}`);
  };
  const quiet = (): void => undefined;
  return {
    ...{ info: write, warn: write, error: write, debug: quiet, trace: quiet },
    child: (fields: Record<string, unknown>) => logger(simulation, watch, { ...bound, ...fields }),
  } as unknown as Logger;
}

function shown(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}
