import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Held {
  readonly socket: Socket;
  readonly address: string;
  /** It brought a whole request head (with TLS: after a handshake with a certificate). */
  proven: boolean;
  /** Requests of it that are being answered. */
  busy: number;
}

export interface ConnectionsMax {
  readonly max: number;
  readonly maxPerAddress: number;
}

/**
 * Bounds the connections of a server without letting slow ones keep quick ones out: where there is no room, the oldest
 * that has not brought a request yet goes, else the oldest that is idle; only if all are at work the new one is closed.
 * So a client that sends its request at once gets through however many connections dribble, also from its own address.
 *
 * @param onFull  called with the address whose connection was closed
 */
export function boundConnections(
  server: Server,
  { max, maxPerAddress }: ConnectionsMax,
  onFull: (address: string | null) => void,
): void {
  const held = new Set<Held>(); // oldest first
  const bySocket = new WeakMap<Socket, Held>();
  const byEnds = new Map<string, Held>();
  const forget = (gone: Held, ends: string | null) => {
    held.delete(gone);
    if (ends !== null && byEnds.get(ends) === gone) byEnds.delete(ends);
  };
  const makeRoom = (among: readonly Held[], newcomer: Held) => {
    const victim = among.find((h) => !h.proven) ?? among.find((h) => h.busy === 0) ?? newcomer;
    held.delete(victim); // its socket's end is told later
    victim.socket.destroy();
    onFull(victim.address === "" ? null : victim.address);
  };
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const ends = endsOf(socket);
    const one: Held = { socket, address, proven: false, busy: 0 };
    held.add(one);
    bySocket.set(socket, one);
    if (ends !== null) byEnds.set(ends, one);
    socket.once("close", () => forget(one, ends));
    const same = [...held].filter((h) => h.address === address);
    // On a unix socket all have the same address, which is none.
    if (address !== "" && same.length > maxPerAddress) makeRoom(same, one);
    else if (held.size > max) makeRoom([...held], one);
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const one = bySocket.get(request.socket) ?? byEnds.get(endsOf(request.socket) ?? "");
    if (one === undefined) return;
    one.proven = true;
    one.busy += 1;
    response.once("close", () => {
      one.busy -= 1;
    });
  });
}

/** A TLS socket and the TCP socket below it have the same addresses, and are different objects. */
function endsOf(socket: Socket): string | null {
  return socket.remotePort === undefined ? null : `${socket.remoteAddress} ${socket.remotePort}`;
}
