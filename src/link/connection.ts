/** One TCP connection of a link, plain or with TLS: frames in, frames out, its life. Sessions outlive it. */
import type net from "node:net";
import { crc32 } from "node:zlib";
import type { GodwitError } from "../errors/mod.ts";
import { encodeFrame, type FrameFault, type FrameKind, FrameParser } from "../wire/mod.ts";
import { Arena } from "./arena.ts";
import { acceptBulk, type BulkReader, connectBulk } from "./bulk.ts";
import type { LinkTls } from "./options.ts";
import type { OutFrame } from "./outbox.ts";
import { BulkWriter } from "./writer.ts";

/** Until a session is agreed a connection reads into this little; larger than any frame of the handshake. */
const HANDSHAKE_BYTES = 16 * 1024;
/** No frame of the handshake is larger (hello: 32 + 24 + 128 + 4096). */
const HANDSHAKE_FRAME_BYTES_MAX = 4280;

export interface FrameView {
  readonly kind: FrameKind;
  readonly flags: number;
  readonly sequence: number;
  /** Valid during the call only, unless the chunk is held. */
  readonly payload: Uint8Array;
  /** An offset in the arena, for `hold` and `release`. */
  readonly offset: number;
}

export interface ConnectionHandler {
  /** One whole frame. The name of a broken rule closes the connection with it. */
  frame(frame: FrameView): string | undefined;
  /** The peer will write no more. */
  peerEnded(): void;
  /**
   * The socket is closed and reads none of our memory any more. Once.
   * @param refusal  of a connection that we made: TLS was the reason
   */
  closed(reason: string, fault: string | undefined, refusal?: GodwitError): void;
}

export class Connection {
  readonly address: string;
  readonly #reader: BulkReader;
  readonly #socket: net.Socket;
  readonly #writer: BulkWriter;
  readonly #parser = new FrameParser(crc32);
  #handler: ConnectionHandler;
  readonly #tls: LinkTls | undefined;
  #reason: string | undefined;
  #refusal: GodwitError | undefined;
  #fault: string | undefined;
  #closed = false;
  #inSession = false;
  #moving = false;
  sentBytes = 0;

  /** @param start makes the reader with the consumer: the socket connects or was accepted there */
  private constructor(
    address: string,
    handler: ConnectionHandler,
    tls: LinkTls | undefined,
    start: (arena: Arena, consume: (m: Uint8Array, s: number, e: number) => number) => BulkReader,
  ) {
    this.address = address;
    this.#handler = handler;
    this.#tls = tls;
    const arena = new Arena(new Uint8Array(HANDSHAKE_BYTES), HANDSHAKE_BYTES);
    this.#reader = start(arena, (memory, from, to) => this.#consume(memory, from, to));
    this.#socket = this.#reader.socket;
    this.#writer = new BulkWriter(this.#socket);
    this.#socket.setNoDelay(true);
    this.#socket.on("error", (error) => {
      this.#reason ??= error.message;
      this.#refusal ??= tls?.tls.explain(error, address);
    });
    this.#socket.on("end", () => this.#handler.peerEnded());
    this.#socket.once("close", () => {
      this.#closed = true;
      this.#handler.closed(this.#reason ?? "the connection was closed", this.#fault, this.#refusal);
    });
  }

  static connect(host: string, port: number, handler: ConnectionHandler, tls?: LinkTls): Connection {
    const address = `${host}:${port}`;
    return new Connection(address, handler, tls, (arena, consume) =>
      connectBulk(
        { host, port, allowHalfOpen: true },
        arena,
        { consume },
        tls && ((options) => tls.tls.connect(options, tls.expected, address)),
      ),
    );
  }

  /** @param accepted  with TLS: the handshake is over, and who is there has been judged */
  static accept(accepted: net.Socket, handler: ConnectionHandler, byCopy: boolean): Connection {
    const address = `${accepted.remoteAddress}:${accepted.remotePort}`;
    return new Connection(address, handler, undefined, (arena, consume) =>
      acceptBulk(accepted, arena, { consume }, { byCopy, allowHalfOpen: true }),
    );
  }

  get closed(): boolean {
    return this.#closed;
  }

  get receivedBytes(): number {
    return this.#reader.receivedBytes;
  }

  /** Whether we ourselves do not read at present: then silence says nothing about the peer. */
  get stopped(): boolean {
    return this.#reader.stopped;
  }

  /** With TLS: the server is who it should be. */
  onceConnected(callback: () => void): void {
    this.#socket.once(this.#tls === undefined ? "connect" : "secureConnect", callback);
  }

  /** From now on frames go to another handler. */
  handOver(handler: ConnectionHandler): void {
    this.#handler = handler;
  }

  /** From now on frames are read into `arena`. @returns false when it has no free chunk */
  readInto(arena: Arena): boolean {
    if (!this.#reader.moveTo(arena)) return false;
    this.#inSession = this.#moving = true;
    return true;
  }

  /** A frame of the session itself; `payload` is copied. */
  send(kind: FrameKind, sequence: number, payload: Uint8Array = new Uint8Array(0)): void {
    if (this.#closed || this.#writer.ended) return;
    const frame = encodeFrame(kind, sequence, payload, crc32);
    this.sentBytes += frame.length;
    this.#writer.write([frame]);
  }

  /** A data frame, not copied. `written` when its memory is not read any more; not called when the connection dies. */
  sendData(frame: OutFrame, written: () => void): void {
    if (this.#socket.destroyed) return;
    this.sentBytes += frame.bytes;
    this.#writer.write(frame.parts, (sent) => {
      if (sent) written();
    });
  }

  /** No more from us; what was sent still goes out. */
  end(): void {
    this.#writer.end();
  }

  destroy(reason: string, fault?: string): void {
    this.#reason ??= reason;
    this.#fault ??= fault;
    this.#socket.destroy();
  }

  #consume(memory: Uint8Array, start: number, end: number): number {
    let at = start;
    this.#moving = false;
    // After `readInto` the rest is presented again in the new arena.
    while (!this.#socket.destroyed && !this.#moving) {
      const found = this.#parser.next(memory, at, end);
      if (found === "more") {
        if (!this.#inSession && end - at >= HANDSHAKE_FRAME_BYTES_MAX)
          this.destroy("a frame breaks the rule handshake_too_large", "handshake_too_large");
        break;
      }
      const fault = found === "frame" ? this.#deliver(memory, at) : found;
      if (fault !== undefined) {
        this.destroy(`a frame breaks the rule ${fault}`, fault);
        break;
      }
      at = this.#parser.payloadEnd;
    }
    return at;
  }

  #deliver(memory: Uint8Array, offset: number): string | FrameFault | undefined {
    const { kind, flags, sequence, payloadStart, payloadEnd } = this.#parser;
    const payload = memory.subarray(payloadStart, payloadEnd);
    return this.#handler.frame({ kind, flags, sequence, payload, offset });
  }
}
