/**
 * The seam between a relay and its link. A Link is one session between two relays: ordered frames in both
 * directions that survive the loss of any number of connections.
 */
import type { GodwitError } from "../errors/mod.ts";
import type { DataKind } from "../wire/mod.ts";

/** A frame that arrived. `payload` lies in the receive arena: it stays valid until `release`, exactly one call. */
export interface ReceivedFrame {
  readonly kind: DataKind;
  readonly payload: Uint8Array;
  /** The bytes are used up (written to QEMU): the frame is acknowledged to the peer and its memory reused. */
  release(): void;
}

export interface LinkHandler {
  /** Synchronous, in order, each frame once whatever connections were lost. */
  frame(frame: ReceivedFrame): void;
  /** There is room in the send window again (after `send` returned false). */
  drain(): void;
  /** A connection was lost (the session goes on trying) or is back. For progress and reports. */
  connection?(state: "lost" | "resumed", detail: string): void;
  /**
   * The session is over: undefined after an orderly finish by both sides, else the reason. Called once, last: no memory
   * given to `send` is read any more. Frames not released yet still must be.
   */
  ended(error: GodwitError | undefined): void;
}

export interface LinkStats {
  /** Bytes on the wire as written to and read from sockets, frame headers and retransmissions included. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly reconnects: number;
  /** Unacknowledged bytes of frames now (headers included), and the window that bounds them. */
  readonly inFlightBytes: number;
  readonly windowBytes: number;
  /** Smoothed; undefined until measured. */
  readonly roundTripMs: number | undefined;
  /** The shortest of this connection; undefined until measured. */
  readonly roundTripMsMin: number | undefined;
  readonly deliveredBytesPerSec: number | undefined;
}

export interface Link {
  /**
   * Queues one frame. The parts are not copied: they must stay unchanged until `acked` is called (the peer released the
   * frame, so it will never be sent again). Parts together at most PAYLOAD_BYTES_MAX.
   * After the session's end it does nothing: `ended` has been called or follows.
   * @returns false when the window is now full: send no more until `drain` (a few more small frames are tolerated)
   */
  send(kind: DataKind, parts: readonly Uint8Array[], acked?: () => void): boolean;
  /**
   * Orderly end: resolves when all sent frames are acknowledged and the peer has finished too (just before `ended`);
   * rejects with the reason when the session ends otherwise. The peer's own finish is not delivered as a frame.
   */
  finish(): Promise<void>;
  /** Ends the session at once; the peer is told the reason. Idempotent. */
  abort(error: GodwitError): void;
  /** From now on each frame asks to be acknowledged as soon as it is released: whoever paces by acknowledgements needs it. */
  prompt(): void;
  /** Caps what is sent, from now on; retransmissions count. 0 lifts the cap. */
  setBandwidth(bytesPerSec: number): void;
  /**
   * How long a lost connection is tried (source) or awaited (target) from now on, ms, counted from its loss; also for
   * one that is lost already. 0: without end. Each end keeps its own.
   */
  setReconnectFor(ms: number): void;
  readonly stats: LinkStats;
}
