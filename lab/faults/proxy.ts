/** The line between the hosts of a stand: it has a rate, counts bytes, and is cut on order. */
import net from "node:net";
import { type CutManner, type Shaper, startShaper } from "../mod.ts";
import { TooLate, waitFor } from "./rig.ts";

/** Agents listen on loopback's first address, and know each other by its second, where the line begins. */
const NEAR = "127.0.0.2";
const FAR = "127.0.0.1";
const PORTS_FROM = 20_000;
const PORTS_TO = 32_000;
const TRIES = 200;

export interface LineOptions {
  readonly bytesPerSec: number;
  readonly latencyMs?: number;
}

/** What all connections to these ports of the first address go through: agents' API and relays' link alike. */
export async function openLine(ports: readonly number[], options: LineOptions): Promise<Shaper> {
  const [first, ...more] = ports.map((port) => ({
    listen: { host: NEAR, port },
    to: { host: FAR, port },
  }));
  return await startShaper({ ...first!, more, ...options });
}

/** As a host knows the other, whose agent says this of itself. */
export function throughLine(address: string): string {
  return address.replace(FAR, NEAR);
}

/** The line of a stock QEMU: one port to one port. */
export function openStockLine(port: number, options: LineOptions): Promise<Shaper> {
  return startShaper({ listen: { host: FAR, port: 0 }, to: { host: FAR, port }, ...options });
}

/** So many ports in a row that are free at both addresses, below those that the system gives out by itself. */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const min = PORTS_FROM + Math.floor(Math.random() * (PORTS_TO - PORTS_FROM - count));
    const ports = Array.from({ length: count }, (_, i) => min + i);
    const free = await Promise.all(ports.flatMap((port) => [isFree(NEAR, port), isFree(FAR, port)]));
    if (free.every(Boolean)) return min;
  }
  throw new Error(`no ${count} free ports in a row`);
}

/** Waits until so many bytes have gone towards targets since the line was opened. Throws TooLate when `over` comes first. */
export async function passed(
  line: Shaper,
  bytes: number,
  over: () => boolean | Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  let ended = false;
  const reached = () => line.stats.forwardBytes >= bytes;
  const looking = setInterval(async () => {
    ended ||= await over();
  }, 50);
  try {
    await waitFor(() => reached() || ended, `byte ${bytes}`, 120_000, signal, 1);
  } finally {
    clearInterval(looking);
  }
  if (!reached()) throw new TooLate(`the move ended ${bytes - line.stats.forwardBytes} bytes before`);
}

/** "cut 0.1 s", for names. */
export function cutText(ms: number, manner: CutManner): string {
  return manner === "reset" ? `cut ${ms / 1000} s` : `silent ${ms / 1000} s`;
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}
