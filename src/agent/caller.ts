import type { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import type { Expected, OnRefused, Tls } from "../trust/mod.ts";
import type { Role } from "./roles.ts";

/** Who asks something of this agent. */
export interface Caller {
  readonly role: Role | "host";
  /** Of its certificate; "uid N" on the agent's own socket; null: nobody proved anything (plain peers). */
  readonly name: string | null;
  readonly how: "unix socket" | "tls" | "plain";
  /** Where from; null on the agent's own socket. */
  readonly address: string | null;
}

const callers = new WeakMap<FastifyRequest, Caller>();

/** Who sent this request. Known from the hook onRequest on; before, and in a bug, it throws. */
export function callerOf(request: FastifyRequest): Caller {
  const caller = callers.get(request);
  if (caller === undefined) throw new TypeError("nobody asked yet who sent this request");
  return caller;
}

/** The same before it is sure that anybody has been found out. */
export function callerIfKnown(request: FastifyRequest): Caller | null {
  return callers.get(request) ?? null;
}

export function remember(request: FastifyRequest, caller: Caller): void {
  callers.set(request, caller);
}

/** Whoever can open the socket of mode 0600: its owner, or root. The kernel asked, so we need not. */
export function socketOwner(): Caller {
  return { role: "admin", name: `uid ${process.geteuid?.()}`, how: "unix socket", address: null };
}

/** A peer without TLS: only its address is known. */
export function plainPeer(request: FastifyRequest): Caller {
  return { role: "host", name: null, how: "plain", address: request.socket.remoteAddress ?? null };
}

/**
 * Callers of a server that speaks TLS: their certificates say who they are. Errors of what it returns: those of `Tls.admit`,
 * each told to `onRefused` before.
 */
export function tlsCaller(
  tls: Tls,
  expected: Expected,
  what: string,
  onRefused: OnRefused,
): (request: FastifyRequest) => Caller {
  return (request) => {
    const { kind, name } = tls.admit(request.socket as TLSSocket, expected, what, onRefused);
    return { role: kind, name, how: "tls", address: request.socket.remoteAddress ?? null };
  };
}
