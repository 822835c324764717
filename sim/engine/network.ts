/**
 * The network between hosts and the unix sockets within one. Bytes arrive in order and late; connections are cut, half or
 * whole; a road that is closed holds bytes up, as retransmission does, and lets them through once it is open again.
 */
import type { Random } from "./random.ts";
import type { SimProcess, Simulation } from "./simulation.ts";
import { type Medium, type Roads, Wire } from "./wire.ts";

/** Whoever accepts connections at an address. */
export interface Listener {
  readonly process: SimProcess;
  accept(wire: Wire): void;
}

const UNIX_LATENCY_MS = 0.02;
/** When a closed road opens, the next retransmission comes so much later, at most. */
const RETRANSMIT_MS = 800;
/** When a connection that nobody answers is tried again (tcp_syn_retries, the first of them). */
const SYN_MS = [1000, 3000, 7000];

export class Network implements Medium {
  readonly simulation: Simulation;
  readonly roads: Roads;
  readonly random: Random;
  readonly #listeners = new Map<string, Listener>();
  /** Connections between hosts. */
  readonly #wires = new Set<Wire>();
  /** "a>b": closed until then. */
  readonly #closed = new Map<string, number>();
  #port = 40_000;

  constructor(simulation: Simulation, roads: Roads) {
    this.simulation = simulation;
    this.roads = roads;
    this.random = simulation.random("network");
  }

  /** @returns false when the address is taken */
  listen(address: string, listener: Listener): boolean {
    const there = this.#listeners.get(address);
    if (there?.process.alive) return false;
    this.#listeners.set(address, listener);
    return true;
  }

  unlisten(address: string, listener: Listener): void {
    if (this.#listeners.get(address) === listener) this.#listeners.delete(address);
  }

  freePort(): number {
    return this.#port++;
  }

  /** From a host to a host, nothing passes for so long. */
  close(from: string, to: string, ms: number): void {
    const key = `${from}>${to}`;
    this.#closed.set(key, Math.max(this.#closed.get(key) ?? 0, this.simulation.nowMs + ms));
  }

  /** When what leaves now gets there. */
  arrivalMs(from: string, to: string): number {
    const { nowMs } = this.simulation;
    if (from === to) return nowMs + UNIX_LATENCY_MS;
    const jitterMs = this.random.chance(0.2) ? this.random.float() * this.roads.jitterMs : 0;
    const openMs = this.#closed.get(`${from}>${to}`) ?? 0;
    if (openMs <= nowMs) return nowMs + this.roads.latencyMs + jitterMs;
    return openMs + this.roads.latencyMs + this.random.float() * RETRANSMIT_MS;
  }

  isClosed(from: string, to: string): boolean {
    return (this.#closed.get(`${from}>${to}`) ?? 0) > this.simulation.nowMs;
  }

  /**
   * Makes a connection to whoever listens at the address.
   * @param answered  with the wire, or the name of the error
   */
  connect(address: string, host: string, answered: (result: Wire | string) => void, attempt = 0): void {
    const { simulation } = this;
    const process = simulation.current;
    const listener = this.#listeners.get(address);
    const there = listener?.process.host ?? (address.startsWith("/") ? host : (hostOf(address) ?? host));
    if (this.isClosed(host, there) || this.isClosed(there, host)) {
      const waitMs = SYN_MS[attempt];
      if (waitMs === undefined) return void simulation.schedule(8000, () => answered("ETIMEDOUT"));
      simulation.schedule(waitMs, () => this.connect(address, host, answered, attempt + 1));
      return;
    }
    const tripMs = this.arrivalMs(host, there) - simulation.nowMs;
    simulation.schedule(2 * tripMs, () => {
      const found = this.#listeners.get(address);
      if (!found?.process.alive) return answered(address.startsWith("/") ? "ENOENT" : "ECONNREFUSED");
      const wire = new Wire(this, process, found.process);
      if (wire.crossesHosts) {
        this.#wires.add(wire);
        wire.onGone(() => this.#wires.delete(wire));
      }
      // Half a trip later than the caller would have it in truth; in order all the same.
      simulation.schedule(0, () => found.accept(wire), found.process);
      answered(wire);
    });
  }

  /** Connections between hosts, as they are now. */
  get wires(): readonly Wire[] {
    return [...this.#wires];
  }
}

/** Addresses between hosts are "10.0.0.1:7000": the host by its number. */
function hostOf(address: string): string | undefined {
  return HOSTS.get(address.slice(0, address.lastIndexOf(":")));
}

const HOSTS = new Map<string, string>();

/** Names a host's address once and for all. */
export function nameHost(ip: string, host: string): void {
  HOSTS.set(ip, host);
}
