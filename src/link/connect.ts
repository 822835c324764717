/** The source's end: makes the first connection and, when one is lost, the next ones. */
import { randomBytes, randomInt } from "node:crypto";
import { GodwitError } from "../errors/mod.ts";
import {
  decodeFault,
  decodeResumed,
  decodeWelcome,
  encodeHello,
  encodeResume,
  SESSION_ID_BYTES,
  SessionKind,
  VERSION_MAX,
  VERSION_MIN,
} from "../wire/mod.ts";
import { refuseInsecure } from "./address.ts";
import { Connection, type ConnectionHandler, type FrameView } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import { type LinkOptions, TIMING, type Timing } from "./options.ts";
import type { Link, LinkHandler } from "./types.ts";

/** The reject that says: this session has ended in order, and everything had arrived. Not an error of the table. */
export const FINISHED = "FINISHED";

export interface ConnectedLink {
  readonly link: Link;
  /** What the target said in its welcome. */
  readonly greeting: Uint8Array;
}

/**
 * Opens a session. Fails fast: a target that does not answer is not tried again before the session exists, but for a
 * connection that broke off before its answer came, as a line does: that is tried again for `timing.openMs`.
 * @param handler gets nothing before the promise resolves, except when the peer speaks in the same turn
 * @throws GodwitError LINK_INSECURE, LINK_UNREACHABLE, LINK_VERSION, LINK_BUSY, TICKET_REFUSED, TICKET_EXPIRED, TICKET_USED,
 *   LINK_FRAME, those of TLS (src/errors/trust.ts), or what the target gave as its reason
 */
export async function connectLink(options: LinkOptions, handler: LinkHandler): Promise<ConnectedLink> {
  refuseInsecure(options.host, options.port, options.insecure || options.tls !== undefined);
  const connector = new Connector(options);
  connector.endpoint.handleWith(handler);
  const greeting = await connector.open();
  return { link: connector.endpoint, greeting };
}

/** What a handshake came to: taken over by the session, or the reason why not. */
type Answer = { readonly taken: Uint8Array } | Failed;

interface Failed {
  readonly failed: GodwitError;
  /** Trying again is of no use. */
  readonly final: boolean;
  /** There was a connection, and it broke off. */
  readonly brokeOff?: boolean;
}

class Connector {
  readonly endpoint: Endpoint;
  readonly #options: LinkOptions;
  readonly #timing: Timing;
  readonly #address: string;
  readonly #ticket: Uint8Array;
  readonly #sessionId = new Uint8Array(randomBytes(SESSION_ID_BYTES));
  readonly #now: () => number;
  readonly #random: () => number;
  #version = 0;
  /** The attempt under way, for an end in between. */
  #attempt: Connection | undefined;
  #wake: (() => void) | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#address = `${options.host}:${options.port}`;
    this.#ticket = new TextEncoder().encode(options.ticket);
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? (() => randomInt(0, 1024) / 1024);
    this.endpoint = new Endpoint(options, this.#address, {
      lost: () => void this.#reconnect(),
      over: () => {
        this.#attempt?.destroy("the session has ended");
        this.#wake?.();
      },
    });
  }

  async open(): Promise<Uint8Array> {
    const versions = this.#options.versions ?? { min: VERSION_MIN, max: VERSION_MAX };
    const hello = encodeHello({
      versionMin: versions.min,
      versionMax: versions.max,
      sessionId: this.#sessionId,
      ticket: this.#ticket,
      greeting: this.#options.greeting,
    });
    const giveUp = (): void => {
      this.#attempt?.destroy("given up");
      this.#wake?.();
    };
    this.#options.giveUp?.addEventListener("abort", giveUp);
    try {
      return await this.#open(() =>
        this.#handshake(SessionKind.hello, hello, (frame, connection) => {
          if (frame.kind !== SessionKind.welcome) return "kind_in_handshake";
          const welcome = decodeWelcome(frame.payload);
          if (typeof welcome === "string") return welcome;
          if (welcome.version < versions.min || welcome.version > versions.max) return "version_range";
          this.#version = welcome.version;
          this.endpoint.attach(connection, { receivedUpTo: 0, releasedUpTo: 0 }, () => undefined);
          return { taken: welcome.greeting };
        }),
      );
    } finally {
      this.#options.giveUp?.removeEventListener("abort", giveUp);
    }
  }

  /** The target knows the session by its number, should it have heard an earlier hello. */
  async #open(hello: () => Promise<Answer>): Promise<Uint8Array> {
    let backoffMs = this.#timing.backoffMsMin;
    let untilMs: number | undefined;
    for (;;) {
      const answer = await hello();
      if ("taken" in answer) return answer.taken;
      if (answer.brokeOff) untilMs ??= this.#now() + this.#timing.openMs;
      const over = untilMs === undefined || this.#now() >= untilMs;
      if (answer.final || over || this.#options.giveUp?.aborted) throw answer.failed;
      await this.#sleep(backoffMs * (0.5 + this.#random()));
      if (this.#options.giveUp?.aborted) throw answer.failed;
      backoffMs = Math.min(this.#timing.backoffMsMax, backoffMs * 2);
    }
  }

  /** Tries until the session goes on, is over, or the time has passed. */
  async #reconnect(): Promise<void> {
    const lostAtMs = this.#now();
    let backoffMs = this.#timing.backoffMsMin;
    let refusal: GodwitError | undefined;
    while (this.endpoint.isOpen) {
      const answer = await this.#resume(lostAtMs + this.endpoint.reconnectForMs);
      if ("taken" in answer || !this.endpoint.isOpen) return;
      if (answer.final) {
        this.endpoint.fail(answer.failed);
        return;
      }
      if (answer.failed.code.startsWith("TLS_")) refusal = answer.failed;
      // Asked anew each time: who takes part in the session may have changed it.
      const leftMs = lostAtMs + this.endpoint.reconnectForMs - this.#now();
      if (leftMs <= 0) {
        const afterMs = Math.round(this.#now() - lostAtMs);
        this.endpoint.fail(refusal ?? new GodwitError("LINK_LOST", { address: this.#address, afterMs }));
        return;
      }
      await this.#sleep(Math.min(leftMs, backoffMs * (0.5 + this.#random())));
      backoffMs = Math.min(this.#timing.backoffMsMax, backoffMs * 2);
    }
  }

  #resume(deadlineMs: number): Promise<Answer> {
    const resume = encodeResume({
      version: this.#version,
      sessionId: this.#sessionId,
      ...this.endpoint.point,
      ticket: this.#ticket,
    });
    return this.#handshake(
      SessionKind.resume,
      resume,
      (frame, connection) => {
        if (frame.kind !== SessionKind.resumed) return "kind_in_handshake";
        const point = decodeResumed(frame.payload);
        if (typeof point === "string") return point;
        const attached = this.endpoint.attach(connection, point, () => undefined);
        return attached ? { taken: new Uint8Array(0) } : "resume_range";
      },
      deadlineMs,
    );
  }

  /** One connection: sends `ask` and lets `take` judge the first frame of the answer. */
  #handshake(
    kind: typeof SessionKind.hello | typeof SessionKind.resume,
    ask: Uint8Array,
    take: (frame: FrameView, connection: Connection) => Answer | string,
    deadlineMs = Number.POSITIVE_INFINITY,
  ): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    let connected = false;
    let closedByPeer = false;
    const unreachable = (reason: string): Answer => ({
      failed: new GodwitError("LINK_UNREACHABLE", { address: this.#address, reason }),
      final: false,
      // Whoever resets a connection while it is being made had taken it, unlike who refuses it.
      brokeOff: !closedByPeer && (connected || reason.includes("ECONNRESET")),
    });
    const within = (ms: number): number => Math.max(1, Math.min(ms, deadlineMs - this.#now()));
    let answered = false;
    const settle = (answer: Answer): void => {
      clearTimeout(timer);
      this.#attempt = undefined;
      answered = true;
      resolve(answer);
    };
    const handler: ConnectionHandler = {
      frame: (frame) => {
        if (answered) return undefined;
        if (frame.kind === SessionKind.reject) {
          const answer = this.#rejected(frame.payload);
          if (typeof answer === "string") return answer;
          settle(answer);
          connection.destroy("the target refused");
          return undefined;
        }
        const answer = take(frame, connection);
        if (typeof answer === "string") return answer;
        settle(answer);
        return undefined;
      },
      peerEnded: () => {
        closedByPeer = true;
        connection.destroy("it closed the connection without an answer");
      },
      closed: (reason, fault, refusal) => {
        if (answered) return;
        if (refusal !== undefined) settle({ failed: refusal, final: false });
        else if (fault === undefined) settle(unreachable(reason));
        else settle({ failed: new GodwitError("LINK_FRAME", { rule: fault }), final: false });
      },
    };
    const { host, port, tls } = this.#options;
    const connection = Connection.connect(host, port, handler, tls);
    this.#attempt = connection;
    let timer = setTimeout(() => connection.destroy("no connection in time"), within(this.#timing.connectMs));
    connection.onceConnected(() => {
      connected = true;
      clearTimeout(timer);
      timer = setTimeout(() => connection.destroy("no answer in time"), within(this.#timing.handshakeMs));
      connection.send(kind, 0, ask);
    });
    return promise;
  }

  #rejected(payload: Uint8Array): Answer | string {
    const fault = decodeFault(payload);
    if (typeof fault === "string") return fault;
    if (fault.code === FINISHED && this.endpoint.peerIsDone()) return { taken: new Uint8Array(0) };
    // What is wrong with a certificate can be mended while the session waits.
    const final = !fault.code.startsWith("TLS_");
    if (fault.code !== "LINK_VERSION") return { failed: GodwitError.fromWire(fault), final };
    // "Ours" and "theirs" were said from the other side.
    const { ours, theirs } = fault.fields;
    const failed = new GodwitError("LINK_VERSION", { ours: String(theirs), theirs: String(ours) });
    return { failed, final: true };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
