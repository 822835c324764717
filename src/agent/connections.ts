import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "./context.ts";

interface Held {
  readonly socket: Socket;
  /** Empty on a unix socket. */
  readonly address: string;
  /** When it came, or its last answer ended; monotonic. */
  quietSinceMs: number;
  /** It brought a whole request head (with TLS: after a handshake). */
  proven: boolean;
  /** Requests of it that are being answered. */
  busy: number;
}

interface Bound {
  readonly held: number;
  readonly max: number;
}

export interface ConnectionBounds {
  readonly all: Bound;
  readonly perAddress: Bound;
  /** Nobody is sent away sooner for being silent. */
  readonly graceMs: number;
}

/**
 * Bounds the connections of a server without letting slow ones keep quick ones out. Beyond `held` the one goes that has been silent
 * for longest, those first that never brought a request, and of the address that has most; beyond `max` also before its time of grace;
 * where all are at work the new one is closed. So a client that sends its request at once gets through however many connections
 * dribble, also from its own address.
 *
 * @param onFull  called with the address whose connection was closed
 */
export function boundConnections(
  server: Server,
  { all, perAddress, graceMs }: ConnectionBounds,
  clock: Clock,
  onFull: (address: string | null) => void,
): void {
  const held = new Set<Held>(); // oldest first
  const bySocket = new WeakMap<Socket, Held>();
  const byEnds = new Map<string, Held>();
  const forget = (gone: Held, ends: string | null) => {
    held.delete(gone);
    if (ends !== null && byEnds.get(ends) === gone) byEnds.delete(ends);
  };
  const close = (victim: Held) => {
    held.delete(victim); // its socket's end is told later
    victim.socket.destroy();
    onFull(victim.address === "" ? null : victim.address);
  };
  /** Closes one of these if they are too many. */
  const keepWithin = ({ held: few, max }: Bound, among: readonly Held[], newcomer: Held) => {
    if (among.length <= few) return;
    const silentSinceMs = among.length > max ? Infinity : clock.monoMs() - graceMs;
    const silent = among.filter((h) => h.busy === 0 && h.quietSinceMs <= silentSinceMs && h !== newcomer);
    const victim = silent.find((h) => !h.proven) ?? silent[0];
    if (victim !== undefined) close(victim);
    else if (among.length > max) close(newcomer);
  };
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const ends = endsOf(socket);
    const one: Held = { socket, address, quietSinceMs: clock.monoMs(), proven: false, busy: 0 };
    held.add(one);
    bySocket.set(socket, one);
    if (ends !== null) byEnds.set(ends, one);
    socket.once("close", () => forget(one, ends));
    const byAddress = Map.groupBy(held, (h) => h.address);
    // On a unix socket all have the same address, which is none.
    if (address !== "") keepWithin(perAddress, byAddress.get(address)!, one);
    if (held.size > all.held) {
      const most = [...byAddress.values()].reduce((a, b) => (b.length > a.length ? b : a));
      // Of the address with most: one that has few does not pay for it.
      keepWithin({ held: most.length - 1, max: held.size > all.max ? most.length - 1 : Infinity }, most, one);
    }
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const one = bySocket.get(request.socket) ?? byEnds.get(endsOf(request.socket) ?? "");
    if (one === undefined) return;
    one.proven = true;
    one.busy += 1;
    response.once("close", () => {
      one.busy -= 1;
      one.quietSinceMs = clock.monoMs();
    });
  });
}

/** A TLS socket and the TCP socket below it have the same addresses, and are different objects. */
function endsOf(socket: Socket): string | null {
  return socket.remotePort === undefined ? null : `${socket.remoteAddress} ${socket.remotePort}`;
}
