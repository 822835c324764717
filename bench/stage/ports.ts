import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import type { HostName, Way } from "../types.ts";

export type Ports = Way["ports"];

/** As many moves at once, or channels of one move, as a stage has room for. */
const EACH = 16;
const PER_HOST = 1 + 2 * EACH;

/** Inside a namespace nobody else is: always the same ports. Below those that the kernel hands out by itself. */
export const FIXED_PORTS: Ports = { control: 7700, relay: row(7710), stock: row(7730) };

/** On loopback: outside of what systems serve on and of what the kernel hands out to clients (from 32768 on). */
const FREE = { from: 10_000, to: 32_000, attempts: 100 } as const;

function row(first: number): number[] {
  return Array.from({ length: EACH }, (_, i) => first + i);
}

function allFrom(first: number): Ports {
  return { control: first, relay: row(first + 1), stock: row(first + 1 + EACH) };
}

export function allPorts({ control, relay, stock }: Ports): number[] {
  return [control, ...relay, ...stock];
}

/**
 * Ports for two hosts that share these addresses, free on each of them right now.
 * @throws the listener's last error when there are none
 */
export async function freePorts(addresses: readonly string[]): Promise<Record<HostName, Ports>> {
  for (let attempt = 1; ; attempt++) {
    const first = randomInt(FREE.from, FREE.to);
    const ports = { a: allFrom(first), b: allFrom(first + PER_HOST) };
    try {
      await tryPorts(addresses, [...allPorts(ports.a), ...allPorts(ports.b)]);
      return ports;
    } catch (error) {
      if (attempt === FREE.attempts) throw error;
    }
  }
}

async function tryPorts(addresses: readonly string[], ports: readonly number[]): Promise<void> {
  const held: Server[] = [];
  try {
    for (const address of addresses)
      for (const port of ports) {
        const server = createServer().listen(port, address);
        await once(server, "listening");
        held.push(server);
      }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
