import { createServer } from "node:net";
import { GodwitError } from "../../errors/mod.ts";

/** Ports, both ends included. */
export interface PortRange {
  readonly min: number;
  readonly max: number;
}

const PORT_MAX = 65_535;

/** "MIN-MAX" or one port. Errors: USAGE. */
export function parsePortRange(text: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const min = Number(match?.[1]);
  const max = Number(match?.[2] ?? match?.[1]);
  if (match === null || min < 1 || max > PORT_MAX || min > max)
    throw new GodwitError("USAGE", {
      problem: `"${text}" is no range of ports from 1 to ${PORT_MAX}, such as 7710-7719`,
    });
  return { min, max };
}

/**
 * Where the relays of arriving VMs listen, one port each: any that the system has to give, or one of a range that a
 * firewall lets through.
 */
export class RelayPorts {
  readonly #range: PortRange | null;
  readonly #taken = new Set<number>();

  /** @param range  null: any free port */
  constructor(range: PortRange | null) {
    this.#range = range;
  }

  /**
   * A port for one relay, and the function that gives it back. 0: the system is to choose.
   * Errors: RELAY_PORTS_TAKEN when all of the range are in use, by relays of ours or by others.
   */
  async take(host: string): Promise<{ readonly port: number; readonly release: () => void }> {
    const range = this.#range;
    if (range === null) return { port: 0, release: () => undefined };
    for (let port = range.min; port <= range.max; port++) {
      if (this.#taken.has(port)) continue;
      this.#taken.add(port); // before looking: another move may ask meanwhile
      if (await isFree(host, port)) return { port, release: () => void this.#taken.delete(port) };
      this.#taken.delete(port);
    }
    throw new GodwitError("RELAY_PORTS_TAKEN", { host, ...range });
  }
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false)); // taken, or not ours to take: the relay would fail the same way
    server.listen({ host: host.replace(/^\[|\]$/g, ""), port }, () => server.close(() => resolve(true)));
  });
}
