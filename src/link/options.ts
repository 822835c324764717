/** What both ends of a link are told. Times in ms, with their defaults in DEFAULTS. */
import type { Expected, OnRefused, Tls } from "../trust/mod.ts";
import type { Arena } from "./arena.ts";

export interface LinkOptions {
  readonly host: string;
  /** listen: 0 lets the system choose. */
  readonly port: number;
  /** One-time word that both sides know; at most 128 bytes of UTF-8. Empty when none was agreed. */
  readonly ticket: string;
  /** What the layer above says first, at most 4096 bytes; opaque to the link. */
  readonly greeting: Uint8Array;
  /** listen: the ticket opens one session, within so many ms from now. Without it: any number, at any time. */
  readonly ticketOnceWithinMs?: number;
  /** Without it: plain TCP. */
  readonly tls?: LinkTls;
  /** Allows plain TCP to and from addresses that are not loopback. */
  readonly insecure: boolean;
  /** How long a lost connection is tried (source) or awaited (target) before the session ends with LINK_LOST. */
  readonly reconnectForMs: number;
  /** 0 = no cap. */
  readonly bandwidthBytesPerSec: number;
  /**
   * Where received frames lie. Larger than the peer's window by two chunks at least; chunks at least 512 KiB. When all
   * are held, reading rests.
   */
  readonly arena: Arena;
  readonly windowBytesMax?: number;
  readonly timing?: Partial<Timing>;
  /** Monotonic, ms. */
  readonly now?: () => number;
  /** 0..1, for the spread of reconnects. */
  readonly random?: () => number;
  /** Faults that concern no session: strangers at the port, refused peers. */
  readonly log?: (event: LinkEvent) => void;
  /** listen: who was turned away because of its certificate or ticket. */
  readonly onRefused?: OnRefused;
  /** connect: ends the first attempt, which then fails as LINK_UNREACHABLE. Without effect once the session exists. */
  readonly giveUp?: AbortSignal;
  /** For tests of negotiation. */
  readonly versions?: { readonly min: number; readonly max: number };
  /** For tests of the fallback: copy received bytes instead of reading in place. */
  readonly byCopy?: boolean;
}

/** Who we are by TLS, and whom we want at the other end. */
export interface LinkTls {
  readonly tls: Tls;
  readonly expected: Expected;
}

export interface LinkEvent {
  /** Short name of what was wrong: a broken rule of a frame, an error code, "handshake_timeout", ... */
  readonly fault: string;
  readonly address: string;
}

export interface Timing {
  readonly connectMs: number;
  readonly handshakeMs: number;
  /** connect: how long a session is tried to be opened again, once a connection has broken off before its answer. */
  readonly openMs: number;
  readonly pingMs: number;
  /** No byte for this long: the connection is dead. */
  readonly deadMs: number;
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** How long a release may wait before it is acknowledged. */
  readonly ackMs: number;
  /** How long an ending session tries to tell the peer. */
  readonly lingerMs: number;
}

export const TIMING: Timing = {
  connectMs: 5000,
  handshakeMs: 5000,
  openMs: 10_000,
  pingMs: 1000,
  deadMs: 5000,
  backoffMsMin: 50,
  backoffMsMax: 1000,
  ackMs: 5,
  lingerMs: 1000,
};
