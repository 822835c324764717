import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type Way = "forward" | "backward";

/** Where the source knows the other host: second address of loopback, same ports. */
const NEAR = "127.0.0.2";
const FAR = "127.0.0.1";
/** What a slow reader takes at a time. */
const SIP_MS = 100;

/**
 * Stands between two hosts and forwards TCP, on some ports. On order the connections that are there stay open and what
 * they carry is swallowed, or they are read as slowly as nobody should read.
 */
export class Hop {
  readonly #servers: net.Server[] = [];
  readonly #pairs = new Set<{ readonly client: net.Socket; readonly server: net.Socket }>();
  readonly #swallowed = new WeakMap<net.Socket, ReadonlySet<Way>>();
  #slowBytesPerSec = 0;

  /** @param ports  of the second address of loopback; each leads to the same port of the first */
  static async open(ports: readonly number[]): Promise<Hop> {
    const hop = new Hop();
    for (const port of ports) {
      const server = net.createServer({ allowHalfOpen: true }, (client) => hop.#accept(client, port));
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).listen(port, NEAR, resolve);
      });
      hop.#servers.push(server);
    }
    return hop;
  }

  /** How a host is reached through here, of whose agent this is the address. */
  static to(address: string): string {
    return address.replace(FAR, NEAR);
  }

  /** Connections that are there now carry nothing that way any more, and stay open; new ones are not touched. */
  swallow(...ways: readonly Way[]): void {
    for (const { client } of this.#pairs) this.#swallowed.set(client, new Set(ways));
  }

  /** What comes from the source is read at this rate, on all connections; 0: as it comes. */
  slow(bytesPerSec: number): void {
    this.#slowBytesPerSec = bytesPerSec;
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #accept(client: net.Socket, port: number): void {
    const server = net.connect({ host: FAR, port, allowHalfOpen: true });
    const pair = { client, server };
    this.#pairs.add(pair);
    const drop = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on("error", drop).on("close", drop);
    void this.#carry(client, server, "forward", client).catch(drop);
    void this.#carry(server, client, "backward", client).catch(drop);
  }

  async #carry(from: net.Socket, to: net.Socket, way: Way, client: net.Socket): Promise<void> {
    for await (const chunk of from) {
      const bytes = chunk as Buffer;
      if (way === "forward") await this.#sip(bytes.length);
      if (this.#swallowed.get(client)?.has(way)) continue;
      if (!to.write(bytes)) await new Promise((resolve) => to.once("drain", resolve).once("close", resolve));
    }
    if (this.#swallowed.get(client)?.has(way) !== true) to.end();
  }

  /** As long as a slow reader takes for so many bytes. */
  async #sip(bytes: number): Promise<void> {
    for (let left = bytes; this.#slowBytesPerSec > 0 && left > 0; await sleep(SIP_MS))
      left -= (this.#slowBytesPerSec * SIP_MS) / 1000;
  }
}
