/**
 * One end of a session: joins its two halves (outbox, inbox) with whatever connection there is. Who makes connections is
 * the business of connect.ts (source) and listen.ts (target). docs/wire.md, section "States".
 */
import assert from "node:assert";
import { crc32 } from "node:zlib";
import { GodwitError } from "../errors/mod.ts";
import {
  DataKind,
  decodeFault,
  encodeFault,
  isDataKind,
  type ReceivePoint,
  SessionKind,
} from "../wire/mod.ts";
import type { Arena } from "./arena.ts";
import { TokenBucket } from "./bucket.ts";
import type { Connection, ConnectionHandler, FrameView } from "./connection.ts";
import { Inbox } from "./inbox.ts";
import { Liveness } from "./liveness.ts";
import { type LinkOptions, TIMING, type Timing } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { Received } from "./received.ts";
import type { Link, LinkHandler, LinkStats } from "./types.ts";
import { WINDOW_BYTES_MAX } from "./window.ts";

/** A peer whose frames break rules this often, with nothing good in between, is not tried again. */
const FAULTS_MAX = 3;

export interface EndpointHooks {
  /** The connection is gone and the session goes on: make or await another. */
  lost(): void;
  /** The session is over. */
  over(error: GodwitError | undefined): void;
  /** `reconnectForMs` has changed. */
  patience?(): void;
}

export class Endpoint implements Link, ConnectionHandler {
  readonly address: string;
  /** How long a lost connection is tried or awaited; Infinity: without end. */
  reconnectForMs: number;
  readonly #arena: Arena;
  readonly #now: () => number;
  readonly #timing: Timing;
  readonly #outbox: Outbox;
  readonly #inbox = new Inbox();
  readonly #bucket: TokenBucket;
  readonly #hooks: EndpointHooks;
  #handler: LinkHandler | undefined;
  #connection: Connection | undefined;
  /** "ending": the outcome is decided, the last connection is still closing. */
  #state: "open" | "ending" | "over" = "open";
  #outcome: GodwitError | undefined;
  #finishSequence = 0;
  #peerFinished = false;
  readonly #finished = Promise.withResolvers<void>();
  #faults = 0;
  #reconnects = 0;
  #sentBytesBefore = 0;
  #receivedBytesBefore = 0;
  #liveness: Liveness | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #ackTimer: NodeJS.Timeout | undefined;
  #pumpTimer: NodeJS.Timeout | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions, address: string, hooks: EndpointHooks) {
    this.address = address;
    this.reconnectForMs = options.reconnectForMs;
    this.#arena = options.arena;
    this.#now = options.now ?? (() => performance.now());
    this.#timing = { ...TIMING, ...options.timing };
    this.#outbox = new Outbox(crc32, options.windowBytesMax ?? WINDOW_BYTES_MAX);
    this.#bucket = new TokenBucket(options.bandwidthBytesPerSec, this.#now());
    this.#hooks = hooks;
    // Whoever does not call finish need not hear of it.
    this.#finished.promise.catch(() => undefined);
  }

  /** Before the first `attach`. */
  handleWith(handler: LinkHandler): void {
    this.#handler = handler;
  }

  get point(): ReceivePoint {
    return this.#inbox.point;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  // --- Link ---

  send(kind: DataKind, parts: readonly Uint8Array[], acked?: () => void): boolean {
    if (this.#state !== "open") return false;
    assert(this.#finishSequence === 0, "nothing is sent after finish");
    const room = this.#outbox.queue(kind, parts, acked, this.#now());
    this.#pump();
    return room;
  }

  finish(): Promise<void> {
    if (this.#state === "open" && this.#finishSequence === 0) {
      this.#outbox.queue(DataKind.finish, [], undefined, this.#now());
      this.#finishSequence = this.#outbox.last;
      this.#pump();
      this.#finishWhenSettled();
    }
    return this.#finished.promise;
  }

  abort(error: GodwitError): void {
    if (this.#state !== "open") return;
    this.#connection?.send(SessionKind.abort, 0, encodeFault(error.toJSON()));
    this.#end(error);
  }

  prompt(): void {
    this.#outbox.prompt = true;
  }

  setBandwidth(bytesPerSec: number): void {
    this.#bucket.set(bytesPerSec, this.#now());
    // Whoever waits does so at the old rate.
    clearTimeout(this.#pumpTimer);
    this.#pumpTimer = undefined;
    this.#pump();
  }

  setReconnectFor(ms: number): void {
    this.reconnectForMs = ms === 0 ? Number.POSITIVE_INFINITY : ms;
    this.#hooks.patience?.();
  }

  get stats(): LinkStats {
    return {
      sentBytes: this.#sentBytesBefore + (this.#connection?.sentBytes ?? 0),
      receivedBytes: this.#receivedBytesBefore + (this.#connection?.receivedBytes ?? 0),
      reconnects: this.#reconnects,
      inFlightBytes: this.#outbox.inFlightBytes,
      windowBytes: this.#outbox.windowBytes,
      roundTripMs: this.#liveness?.roundTripMs,
      roundTripMsMin: this.#outbox.roundTripMsMin,
      deliveredBytesPerSec: this.#outbox.deliveredBytesPerSec,
    };
  }

  // --- connections come and go ---

  /**
   * A connection on which the peer has come to `peer`. `answer` is sent between taking our own point and any data.
   * @returns whether the peer's point is possible; if not, the connection is destroyed
   */
  attach(connection: Connection, peer: ReceivePoint, answer: (point: ReceivePoint) => void): boolean {
    assert(this.#state === "open" && this.#connection === undefined, "one connection at a time");
    const now = this.#now();
    const fault = this.#outbox.attach(peer, now);
    if (fault !== undefined) {
      connection.destroy(`the peer's resume breaks the rule ${fault}`, fault);
      return false;
    }
    if (!connection.readInto(this.#arena)) {
      connection.destroy("no free chunk to read into");
      return false;
    }
    const first = this.#ticker === undefined;
    const { point } = this.#inbox;
    this.#connection = connection;
    connection.handOver(this);
    answer(point);
    this.#inbox.told(point);
    this.#liveness = new Liveness(this.#timing, now, connection.receivedBytes);
    connection.send(SessionKind.ping, this.#liveness.ping(now));
    this.#ticker ??= setInterval(() => this.#tick(), Math.min(250, this.#timing.pingMs / 2));
    if (!first) {
      this.#reconnects++;
      this.#handler!.connection?.("resumed", connection.address);
    }
    this.#pump();
    this.#drain();
    return true;
  }

  /** Gives up the present connection, if any, and tells when nothing of it is left. Another can be attached then. */
  detach(reason: string): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    connection.handOver({
      frame: () => undefined,
      peerEnded: () => undefined,
      closed: (why, fault) => {
        this.closed(why, fault);
        resolve();
      },
    });
    connection.destroy(reason);
    return promise;
  }

  frame(frame: FrameView): string | undefined {
    if (this.#state !== "open") return undefined;
    const { kind, sequence } = frame;
    if (isDataKind(kind)) return this.#data(kind, frame);
    const now = this.#now();
    switch (kind) {
      case SessionKind.ack: {
        const fault = this.#outbox.ack(sequence, now);
        if (fault !== undefined) return fault;
        this.#faults = 0;
        this.#drain();
        this.#finishWhenSettled();
        return undefined;
      }
      case SessionKind.ping:
        this.#connection?.send(SessionKind.pong, sequence);
        return undefined;
      case SessionKind.pong:
        this.#liveness!.pong(sequence, now);
        this.#outbox.roundTripMsMin = this.#liveness!.roundTripMsMin;
        return undefined;
      case SessionKind.abort: {
        const fault = decodeFault(frame.payload);
        if (typeof fault === "string") return fault;
        this.#end(GodwitError.fromWire(fault));
        return undefined;
      }
      default:
        return "kind_in_session";
    }
  }

  peerEnded(): void {
    this.#finishWhenSettled();
    if (this.#state === "open") this.#connection?.destroy("the peer closed the connection");
    else this.#connection?.end();
  }

  closed(reason: string, fault: string | undefined): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#sentBytesBefore += connection.sentBytes;
    this.#receivedBytesBefore += connection.receivedBytes;
    this.#connection = undefined;
    this.#outbox.detach();
    if (this.#state === "ending") {
      this.#over();
      return;
    }
    if (this.#nothingLeft()) {
      // Only the acknowledgement of our finish is missing, and it carries nothing.
      this.#end(undefined);
      return;
    }
    if (fault !== undefined && ++this.#faults >= FAULTS_MAX) {
      this.#end(new GodwitError("LINK_FRAME", { rule: fault }));
      return;
    }
    this.#handler!.connection?.("lost", reason);
    if (this.#state === "open") this.#hooks.lost();
  }

  /** The session cannot go on (for whoever makes connections); the peer is not told. */
  fail(error: GodwitError): void {
    if (this.#state === "open") this.#end(error);
  }

  /** The peer says that it has ended in order: it has all our frames, if we had finished too. */
  peerIsDone(): boolean {
    if (this.#finishSequence === 0) return false;
    this.#outbox.ackAll();
    this.#end(undefined);
    return true;
  }

  // --- inside ---

  #data(kind: DataKind, frame: FrameView): string | undefined {
    const how = this.#inbox.receive(frame.sequence, frame.flags);
    if (how === "duplicate") return undefined;
    if (how === "sequence_gap") return how;
    if (this.#peerFinished) return "data_after_finish";
    this.#faults = 0;
    if (kind === DataKind.finish) {
      this.#peerFinished = true;
      this.#released(frame.sequence, 0);
      this.#finishWhenSettled();
      return undefined;
    }
    this.#arena.hold(frame.offset);
    const { sequence, offset, payload } = frame;
    this.#handler!.frame(
      new Received(kind, payload, () => {
        this.#arena.release(offset);
        this.#released(sequence, payload.length);
      }),
    );
    return undefined;
  }

  #released(sequence: number, bytes: number): void {
    const when = this.#inbox.release(sequence, bytes);
    if (this.#state !== "open") return;
    if (when === "now") this.#acknowledge();
    else this.#ackTimer ??= setTimeout(() => this.#acknowledge(), this.#timing.ackMs);
  }

  #acknowledge(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    if (this.#connection === undefined) return; // the next handshake tells
    const upTo = this.#inbox.takeAck();
    if (upTo !== undefined) this.#connection.send(SessionKind.ack, upTo);
    this.#finishWhenSettled();
  }

  #pump(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#state !== "open" || this.#pumpTimer !== undefined) return;
    while (this.#outbox.hasNext) {
      const waitMs = this.#bucket.waitMs(this.#now());
      if (waitMs > 0) {
        this.#pumpTimer = setTimeout(() => {
          this.#pumpTimer = undefined;
          this.#pump();
        }, waitMs);
        return;
      }
      const frame = this.#outbox.next()!;
      this.#bucket.spend(frame.bytes);
      connection.sendData(frame, () => {
        if (this.#connection === connection) this.#outbox.written(frame.sequence);
      });
    }
  }

  #drain(): void {
    if (this.#state === "open" && this.#outbox.takeDrain()) this.#handler!.drain();
  }

  #tick(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#state !== "open") return;
    const now = this.#now();
    const liveness = this.#liveness!;
    const how = liveness.tick(now, connection.receivedBytes, connection.stopped);
    if (how === "dead") connection.destroy(`no byte for ${this.#timing.deadMs} ms`);
    else if (how === "ping") connection.send(SessionKind.ping, liveness.ping(now));
  }

  /** Both have finished and neither has anything that the other needs. */
  #nothingLeft(): boolean {
    const dataAcked = this.#finishSequence > 0 && this.#outbox.acked >= this.#finishSequence - 1;
    const { receivedUpTo, releasedUpTo } = this.#inbox.point;
    return this.#peerFinished && dataAcked && receivedUpTo === releasedUpTo;
  }

  #finishWhenSettled(): void {
    if (this.#state !== "open" || !this.#nothingLeft()) return;
    if (this.#outbox.acked < this.#finishSequence) return;
    if (!this.#inbox.settled) this.#acknowledge();
    if (this.#state === "open") this.#end(undefined);
  }

  /** Decides the outcome; the session is over when the last connection has closed. */
  #end(outcome: GodwitError | undefined): void {
    this.#state = "ending";
    this.#outcome = outcome;
    clearInterval(this.#ticker);
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#pumpTimer);
    const connection = this.#connection;
    if (connection === undefined) {
      // Not from within the caller's own call.
      queueMicrotask(() => this.#over());
      return;
    }
    connection.end();
    this.#lingerTimer = setTimeout(() => connection.destroy("ended"), this.#timing.lingerMs);
  }

  #over(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    clearTimeout(this.#lingerTimer);
    this.#hooks.over(this.#outcome);
    if (this.#outcome === undefined) this.#finished.resolve();
    else this.#finished.reject(this.#outcome);
    this.#handler!.ended(this.#outcome);
  }
}
