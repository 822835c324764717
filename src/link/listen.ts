/** The target's end: accepts connections, tells sessions, resumes and strangers apart; one session at a time. */
import net from "node:net";
import type { TLSSocket } from "node:tls";
import { crc32 } from "node:zlib";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import type { Identity } from "../trust/mod.ts";
import {
  decodeHello,
  decodeResume,
  encodeFault,
  encodeFrame,
  encodeResumed,
  encodeWelcome,
  type Hello,
  type ReceivePoint,
  type Resume,
  SessionKind,
  VERSION_MAX,
  VERSION_MIN,
} from "../wire/mod.ts";
import { refuseInsecure } from "./address.ts";
import { FINISHED } from "./connect.ts";
import { Connection, type ConnectionHandler, type FrameView } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import { type LinkOptions, TIMING, type Timing } from "./options.ts";
import { TicketCheck } from "./ticket.ts";
import type { Link, LinkHandler } from "./types.ts";

/** Connections that have not said who they are; each costs 16 KiB and a time limit. */
const PENDING_MAX = 16;
/** To `onRefused`. */
const WHAT = "link";
/** Node's timers take a longer time for 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface Offer {
  readonly link: Link;
  /** What the source said in its hello. */
  readonly greeting: Uint8Array;
  /** The source's address and port. */
  readonly address: string;
  /** Who it is; null without TLS. */
  readonly identity: Identity | null;
}

export interface LinkServer {
  readonly host: string;
  /** The real one, when 0 was asked for. */
  readonly port: number;
  /** Takes no more connections, not even to resume; a running session keeps the connection that it has. */
  close(): Promise<void>;
}

/**
 * Listens for a session; after one has ended, for the next.
 * @param onSession called when a source with the right ticket and a known version came: returns who handles the session.
 *   A GodwitError that it throws is the reason of a refusal.
 * @throws GodwitError LINK_INSECURE, LINK_PORT when the address cannot be listened on
 */
export async function listenLink(
  options: LinkOptions,
  onSession: (offer: Offer) => LinkHandler,
): Promise<LinkServer> {
  refuseInsecure(options.host, options.port, options.insecure || options.tls !== undefined);
  const listener = new Listener(options, onSession);
  const port = await listener.open();
  return { host: options.host, port, close: () => listener.close() };
}

/** A connection that has not said who it is. */
interface Pending {
  readonly socket: net.Socket;
  connection: Connection | undefined;
  /** null: without TLS. */
  identity: Identity | null;
  readonly timer: NodeJS.Timeout;
}

interface Session {
  readonly id: Uint8Array;
  readonly version: number;
  readonly endpoint: Endpoint;
  /** Since when there is no connection; undefined: there is one. */
  lostAtMs: number | undefined;
  /** Runs while there is no connection. */
  lostTimer: NodeJS.Timeout | undefined;
}

class Listener {
  readonly #options: LinkOptions;
  readonly #timing: Timing;
  readonly #onSession: (offer: Offer) => LinkHandler;
  readonly #server: net.Server;
  /** By the peer's address and port, which are one connection's alone. */
  readonly #pending = new Map<string, Pending>();
  readonly #handshake: ((accepted: net.Socket) => void) | undefined;
  readonly #ticket: TicketCheck;
  readonly #now: () => number;
  #session: Session | undefined;
  /** The session before, for a source that comes back because it did not hear the end. */
  #last: { readonly id: Uint8Array; readonly outcome: GodwitError | undefined } | undefined;
  #closing = false;

  constructor(options: LinkOptions, onSession: (offer: Offer) => LinkHandler) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#onSession = onSession;
    this.#now = options.now ?? (() => performance.now());
    this.#ticket = new TicketCheck(options.ticket, options.ticketOnceWithinMs, this.#now());
    this.#handshake = options.tls?.tls.acceptor(
      (socket) => this.#secured(socket),
      (error, socket) => this.#log(`tls: ${error.message}`, addressOf(socket)),
    );
    this.#server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) =>
      this.#accept(socket),
    );
  }

  open(): Promise<number> {
    const { host, port } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.on("error", (cause) => {
      reject(new GodwitError("LINK_PORT", { address: `${host}:${port}`, reason: cause.message }, { cause }));
    });
    this.#server.listen({ host, port }, () => resolve((this.#server.address() as net.AddressInfo).port));
    return promise;
  }

  close(): Promise<void> {
    this.#closing = true;
    for (const { socket, connection } of this.#pending.values()) {
      if (connection === undefined) socket.destroy();
      else connection.destroy("the listener closes");
    }
    if (this.#session !== undefined && !this.#session.endpoint.connected) this.#giveUp(this.#session);
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #log(fault: string, address: string): void {
    this.#options.log?.({ fault, address });
  }

  #accept(socket: net.Socket): void {
    const address = addressOf(socket);
    if (this.#pending.size >= PENDING_MAX) {
      this.#log("too_many_pending", address);
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => {
      this.#log("handshake_timeout", address);
      if (pending.connection === undefined) socket.destroy();
      else pending.connection.destroy("no hello in time");
    }, this.#timing.handshakeMs);
    const pending: Pending = { socket, connection: undefined, identity: null, timer };
    this.#pending.set(address, pending);
    if (this.#handshake === undefined) return this.#read(address, pending, socket, this.#options.byCopy);
    // Its own close is not told by a connection before there is one.
    socket.on("error", () => undefined).once("close", () => this.#judged(address, pending));
    this.#handshake(socket);
  }

  /** The TLS handshake is over. Whoever may not be here is told why, and nothing that it says is looked at. */
  #secured(socket: TLSSocket): void {
    const address = addressOf(socket);
    const pending = this.#pending.get(address);
    if (pending === undefined) return void socket.destroy();
    const { tls, expected } = this.#options.tls!;
    try {
      pending.identity = tls.admit(socket, expected, WHAT, (refused) => this.#options.onRefused?.(refused));
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      this.#log(error.code, address);
      const reject = encodeFrame(SessionKind.reject, 0, encodeFault(error.toJSON()), crc32);
      socket.on("error", () => undefined).resume();
      socket.end(reject);
      return;
    }
    // Node reads only connections that it made itself in bulk.
    this.#read(address, pending, socket, true);
  }

  #read(address: string, pending: Pending, socket: net.Socket, byCopy = false): void {
    let judged = false;
    const handler: ConnectionHandler = {
      frame: (frame) => {
        if (judged) return "frame_before_answer";
        judged = true;
        return this.#judge(connection, frame, pending.identity);
      },
      peerEnded: () => {
        if (!judged) connection.destroy("it closed before saying who it is", "closed_early");
      },
      closed: (_reason, fault) => {
        this.#judged(address, pending);
        if (fault !== undefined) this.#log(fault, address);
      },
    };
    const connection = Connection.accept(socket, handler, byCopy);
    pending.connection = connection;
  }

  /** Ends the time limit of a connection that a session takes over, or that is gone. */
  #judged(address: string, pending = this.#pending.get(address)): void {
    clearTimeout(pending?.timer);
    // The system may have given the same port to another connection already.
    if (this.#pending.get(address) === pending) this.#pending.delete(address);
  }

  /** The first frame: who is it? @returns the broken rule of a stranger */
  #judge(connection: Connection, frame: FrameView, identity: Identity | null): string | undefined {
    if (frame.kind === SessionKind.hello) {
      const hello = decodeHello(frame.payload);
      if (typeof hello === "string") return hello;
      const refusal = this.#hello(connection, hello, identity);
      if (refusal !== undefined) this.#reject(connection, refusal, identity);
      return undefined;
    }
    if (frame.kind === SessionKind.resume) {
      const resume = decodeResume(frame.payload);
      if (typeof resume === "string") return resume;
      const refusal = this.#resume(connection, resume);
      if (refusal !== undefined) this.#reject(connection, refusal, identity);
      return undefined;
    }
    return "kind_in_handshake";
  }

  #hello(connection: Connection, hello: Hello, identity: Identity | null): GodwitError | undefined {
    const { address } = connection;
    const begun = this.#session;
    if (begun !== undefined && same(begun.id, hello.sessionId) && this.#ticket.fits(hello.ticket)) {
      // Our welcome was lost: to the source nothing has been said yet.
      this.#judged(address);
      void this.#takeOver(connection, begun, { receivedUpTo: 0, releasedUpTo: 0 }, () =>
        this.#welcome(connection, begun),
      );
      return undefined;
    }
    const ticketFault = this.#ticket.faultOfNew(hello.ticket, address, this.#now());
    if (ticketFault !== undefined) return ticketFault;
    const ours = this.#options.versions ?? { min: VERSION_MIN, max: VERSION_MAX };
    const version = Math.min(ours.max, hello.versionMax);
    if (version < Math.max(ours.min, hello.versionMin)) {
      const fields = {
        ours: `${ours.min}-${ours.max}`,
        theirs: `${hello.versionMin}-${hello.versionMax}`,
      };
      return new GodwitError("LINK_VERSION", fields);
    }
    if (this.#session !== undefined || this.#closing) {
      return new GodwitError("LINK_BUSY", { address: `${this.#options.host}:${this.#options.port}` });
    }
    const session: Session = {
      id: hello.sessionId,
      version,
      endpoint: new Endpoint(this.#options, address, {
        lost: () => this.#lost(session),
        patience: () => this.#await(session),
        over: (outcome) => {
          clearTimeout(session.lostTimer);
          this.#last = { id: session.id, outcome };
          this.#session = undefined;
        },
      }),
      lostAtMs: undefined,
      lostTimer: undefined,
    };
    let handler: LinkHandler;
    try {
      handler = this.#onSession({ link: session.endpoint, greeting: hello.greeting, address, identity });
    } catch (error) {
      if (error instanceof GodwitError) return error;
      throw error;
    }
    session.endpoint.handleWith(handler);
    this.#session = session;
    this.#ticket.use();
    this.#judged(address);
    session.endpoint.attach(connection, { receivedUpTo: 0, releasedUpTo: 0 }, () =>
      this.#welcome(connection, session),
    );
    return undefined;
  }

  #welcome(connection: Connection, { version }: Session): void {
    const welcome = encodeWelcome({ version, greeting: this.#options.greeting });
    connection.send(SessionKind.welcome, 0, welcome);
  }

  #resume(connection: Connection, resume: Resume): GodwitError | typeof FINISHED | undefined {
    const { address } = connection;
    if (!this.#ticket.fits(resume.ticket)) return new GodwitError("TICKET_REFUSED", { address });
    const session = this.#session;
    if (session !== undefined && same(session.id, resume.sessionId) && session.endpoint.isOpen) {
      if (resume.version !== session.version) {
        const fields = { ours: String(session.version), theirs: String(resume.version) };
        return new GodwitError("LINK_VERSION", fields);
      }
      this.#judged(address);
      void this.#takeOver(connection, session, resume, (point) =>
        connection.send(SessionKind.resumed, 0, encodeResumed(point)),
      );
      return undefined;
    }
    if (this.#last !== undefined && same(this.#last.id, resume.sessionId))
      return this.#last.outcome ?? FINISHED;
    return new GodwitError("LINK_FORGOTTEN", { address: `${this.#options.host}:${this.#options.port}` });
  }

  /** The source says that its old connection is dead, so it is, whatever our side of it looks like. */
  async #takeOver(
    connection: Connection,
    session: Session,
    theirs: ReceivePoint,
    greet: (ours: ReceivePoint) => void,
  ): Promise<void> {
    await session.endpoint.detach("the source has made a new connection");
    if (connection.closed) return;
    if (!session.endpoint.isOpen) {
      this.#reject(connection, this.#last?.outcome ?? FINISHED, null);
      return;
    }
    if (session.endpoint.connected) {
      connection.destroy("another connection of the same session came first");
      return;
    }
    session.lostAtMs = undefined;
    clearTimeout(session.lostTimer);
    const attached = session.endpoint.attach(connection, theirs, greet);
    if (!attached) this.#lost(session);
  }

  #lost(session: Session): void {
    session.lostAtMs = this.#now();
    if (this.#closing) this.#giveUp(session);
    else this.#await(session);
  }

  /** Awaits a lost connection for as long as its end of the session says now. */
  #await(session: Session): void {
    clearTimeout(session.lostTimer);
    if (session.lostAtMs === undefined) return;
    const leftMs = session.lostAtMs + session.endpoint.reconnectForMs - this.#now();
    if (leftMs <= 0) this.#giveUp(session);
    else session.lostTimer = setTimeout(() => this.#await(session), Math.min(leftMs, TIMER_MS_MAX));
  }

  #giveUp(session: Session): void {
    const { address } = session.endpoint;
    const nowMs = this.#now();
    const afterMs = Math.round(nowMs - (session.lostAtMs ?? nowMs));
    session.endpoint.fail(new GodwitError("LINK_LOST", { address, afterMs }));
  }

  #reject(connection: Connection, reason: GodwitError | typeof FINISHED, identity: Identity | null): void {
    const error =
      reason === FINISHED
        ? { code: FINISHED, fields: {}, message: "the session has ended" }
        : reason.toJSON();
    connection.send(SessionKind.reject, 0, encodeFault(error));
    const { address } = connection;
    this.#log(error.code, address);
    if (error.code.startsWith("TICKET_")) this.#options.onRefused?.({ what: WHAT, identity, address, error });
    connection.end();
  }
}

function addressOf(socket: net.Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
