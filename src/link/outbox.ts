/**
 * The sending half of a session, without sockets or a clock: what was sent and not yet acknowledged, what goes out next,
 * the window. docs/wire.md, section "Sequence, acknowledgement, resume".
 */
import assert from "node:assert";
import {
  ACK_SOON,
  type Checksum,
  type DataKind,
  encodeHeader,
  HEADER_BYTES,
  isChecked,
  PAYLOAD_BYTES_MAX,
  type ReceivePoint,
} from "../wire/mod.ts";
import { DeliveryMeter, WINDOW_BYTES_START, windowBytes } from "./window.ts";

export interface OutFrame {
  readonly sequence: number;
  readonly kind: DataKind;
  /** Header and payload; the first holds the header. */
  readonly parts: readonly Uint8Array[];
  /** All parts together. */
  readonly bytes: number;
  readonly acked: (() => void) | undefined;
}

/** A first part this small is copied behind the header: one buffer less for the kernel to gather. */
const INLINE_BYTES_MAX = 256;

export type AckFault = "ack_beyond_sent" | "resume_range";

export class Outbox {
  readonly #checksum: Checksum;
  readonly #windowBytesMax: number;
  readonly #meter = new DeliveryMeter();
  /** Frames not yet freed; `#frames[#head]` has the sequence `#freed + 1`. */
  #frames: OutFrame[] = [];
  #head = 0;
  #freed = 0;
  #last = 0;
  /** Given to the current connection; and the most ever given to any. */
  #given = 0;
  #givenMax = 0;
  /** The bytes up to here lie in the kernel's or nobody's hands: their memory is not read any more. */
  #written = 0;
  #acked = 0;
  #full = false;
  #unflaggedBytes = 0;
  /** Bytes of frames (headers included) not yet acknowledged. */
  inFlightBytes = 0;
  windowBytes: number;
  roundTripMsMin: number | undefined;
  /** Each frame asks to be acknowledged at once. */
  prompt = false;

  constructor(checksum: Checksum, windowBytesMax: number) {
    this.#checksum = checksum;
    this.#windowBytesMax = windowBytesMax;
    this.windowBytes = Math.min(WINDOW_BYTES_START, windowBytesMax);
  }

  get deliveredBytesPerSec(): number | undefined {
    return this.#meter.bytesPerSec;
  }

  /** Whether everything ever queued has been acknowledged. */
  get empty(): boolean {
    return this.#freed === this.#last;
  }

  /** Sequence of the last frame queued; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  get acked(): number {
    return this.#acked;
  }

  /** Queues one frame. @returns false when the window is full now */
  queue(
    kind: DataKind,
    parts: readonly Uint8Array[],
    acked: (() => void) | undefined,
    nowMs: number,
  ): boolean {
    let payloadBytes = 0;
    for (const part of parts) payloadBytes += part.length;
    assert(
      payloadBytes <= PAYLOAD_BYTES_MAX,
      `a payload of ${payloadBytes} bytes is too large for one frame`,
    );
    const sequence = ++this.#last;
    const bytes = HEADER_BYTES + payloadBytes;
    if (this.inFlightBytes === 0) this.#meter.begin(nowMs);
    this.inFlightBytes += bytes;
    // The receiver acknowledges lazily; four times per window it is asked to do so at once.
    this.#unflaggedBytes += bytes;
    let flags = 0;
    if (this.prompt || this.#unflaggedBytes >= this.windowBytes >> 2) {
      this.#unflaggedBytes = 0;
      flags = ACK_SOON;
    }
    const first = parts[0];
    const inline = first !== undefined && first.length <= INLINE_BYTES_MAX ? first : undefined;
    const head = new Uint8Array(HEADER_BYTES + (inline?.length ?? 0));
    if (inline !== undefined) head.set(inline, HEADER_BYTES);
    const payloadChecksum = isChecked(kind) ? this.#checksumOf(parts) : 0;
    encodeHeader(head, 0, { kind, flags, payloadBytes, payloadChecksum, sequence }, this.#checksum);
    const rest = inline === undefined ? parts : parts.slice(1);
    this.#frames.push({ sequence, kind, parts: [head, ...rest], bytes, acked });
    if (this.inFlightBytes < this.windowBytes) return true;
    this.#full = true;
    this.#meter.limited();
    return false;
  }

  /** The next frame for the current connection, or undefined; it counts as given to it. */
  next(): OutFrame | undefined {
    if (this.#given === this.#last) return undefined;
    const frame = this.#frames[this.#head + (this.#given - this.#freed)];
    assert(frame !== undefined && frame.sequence === this.#given + 1, "frames are kept until acknowledged");
    this.#given++;
    if (this.#given > this.#givenMax) this.#givenMax = this.#given;
    return frame;
  }

  get hasNext(): boolean {
    return this.#given < this.#last;
  }

  /** The connection does not read the memory of frames up to `sequence` any more. */
  written(sequence: number): void {
    if (sequence <= this.#written) return;
    this.#written = sequence;
    this.#free();
  }

  /** A cumulative acknowledgement. An older one than known is ignored. */
  ack(releasedUpTo: number, nowMs: number): AckFault | undefined {
    if (releasedUpTo > this.#given) return "ack_beyond_sent";
    if (releasedUpTo <= this.#acked) return undefined;
    let bytes = 0;
    for (let sequence = this.#acked + 1; sequence <= releasedUpTo; sequence++)
      bytes += this.#frames[this.#head + (sequence - this.#freed - 1)]!.bytes;
    this.#acked = releasedUpTo;
    this.inFlightBytes -= bytes;
    const roundTripMsMin = this.roundTripMsMin ?? 0;
    if (this.#meter.acknowledged(bytes, nowMs, roundTripMsMin)) {
      this.windowBytes = windowBytes({
        deliveredBytesPerSec: this.#meter.bytesPerSec!,
        roundTripMsMin,
        windowBytesMax: this.#windowBytesMax,
      });
    }
    this.#free();
    return undefined;
  }

  /** Once after the window was full: whether there is room again (a quarter of it). */
  takeDrain(): boolean {
    if (!this.#full || this.inFlightBytes > this.windowBytes * 0.75) return false;
    this.#full = false;
    return true;
  }

  /** The old connection is closed for good: nothing of it reads our memory any more. */
  detach(): void {
    this.#given = this.#givenMax;
    this.written(this.#givenMax);
  }

  /** A new connection, whose peer has come to `point`: what it did not receive goes out again. */
  attach(point: ReceivePoint, nowMs: number): AckFault | undefined {
    if (point.receivedUpTo > this.#givenMax || point.releasedUpTo < this.#acked) return "resume_range";
    this.#meter.begin(nowMs);
    this.roundTripMsMin = undefined;
    this.#given = point.receivedUpTo;
    // What will be given again is read again, so it is not "written" yet.
    this.#written = Math.min(this.#written, point.receivedUpTo);
    return this.ack(point.releasedUpTo, nowMs);
  }

  /** Everything counts as acknowledged: the peer has ended after receiving all of it. */
  ackAll(): void {
    this.#givenMax = this.#given = this.#last;
    this.ack(this.#last, 0);
    this.written(this.#last);
  }

  #free(): void {
    const upTo = Math.min(this.#acked, this.#written);
    while (this.#freed < upTo) {
      const frame = this.#frames[this.#head]!;
      this.#frames[this.#head] = undefined as never;
      this.#head++;
      this.#freed++;
      frame.acked?.();
    }
    if (this.#head > 1024 && this.#head * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    }
  }

  #checksumOf(parts: readonly Uint8Array[]): number {
    let value = 0;
    for (const part of parts) value = this.#checksum(part, value);
    return value;
  }
}
