/** The fixed header of every frame: 32 bytes, big-endian. docs/wire.md, section "Frame". */
import { getU16, getU32, getU64, putU16, putU32, putU64 } from "./bytes.ts";
import type { Checksum } from "./crc32.ts";
import { type FrameKind, isChecked, isDataKind, payloadBytesMax, SessionKind } from "./kinds.ts";

export const HEADER_BYTES = 32;
/** "GODW". */
export const MAGIC = 0x474f4457;
/** Layout of this header and of hello and reject; it never changes, so that versions can be negotiated. */
export const LAYOUT = 1;
/** Flag: acknowledge as soon as this frame is released; the sender's window fills up. */
export const ACK_SOON = 1;

/** The rules a frame can break, in the order in which they are checked. */
export type FrameFault =
  | "magic"
  | "header_checksum"
  | "layout"
  | "kind"
  | "flags"
  | "reserved"
  | "payload_too_large"
  | "sequence"
  | "payload_checksum";

export interface FrameHeader {
  readonly kind: FrameKind;
  readonly flags: number;
  readonly payloadBytes: number;
  readonly payloadChecksum: number;
  /** Data: from 1. ack: released up to. ping, pong: a token. Else 0. */
  readonly sequence: number;
}

function takesSequence(kind: number): boolean {
  return (
    isDataKind(kind) || kind === SessionKind.ack || kind === SessionKind.ping || kind === SessionKind.pong
  );
}

/**
 * Writes a header into `into` at `at`. Breaking one of the reader's rules is a bug here and throws.
 * @param header payloadBytes within the kind's bound, sequence a safe integer >= 0
 */
export function encodeHeader(into: Uint8Array, at: number, header: FrameHeader, checksum: Checksum): void {
  const { kind, sequence, payloadBytes } = header;
  if (payloadBytes < 0 || payloadBytes > payloadBytesMax(kind))
    throw new RangeError(`frame of kind ${kind} with ${payloadBytes} bytes`);
  if (!Number.isSafeInteger(sequence) || sequence < (isDataKind(kind) ? 1 : 0))
    throw new RangeError(`sequence ${sequence}`);
  if (sequence !== 0 && !takesSequence(kind)) throw new RangeError(`kind ${kind} takes no sequence`);
  putU32(into, at, MAGIC);
  into[at + 4] = LAYOUT;
  into[at + 5] = kind;
  putU16(into, at + 6, header.flags);
  putU32(into, at + 8, payloadBytes);
  putU32(into, at + 12, header.payloadChecksum);
  putU64(into, at + 16, sequence);
  putU32(into, at + 24, 0);
  putU32(into, at + 28, checksum(into.subarray(at, at + 28)));
}

/** The header at `at` (32 bytes must be there), or the name of the first rule it breaks. Never throws. */
export function decodeHeader(from: Uint8Array, at: number, checksum: Checksum): FrameHeader | FrameFault {
  if (getU32(from, at) !== MAGIC) return "magic";
  if (getU32(from, at + 28) !== checksum(from.subarray(at, at + 28))) return "header_checksum";
  if (from[at + 4] !== LAYOUT) return "layout";
  const kind = from[at + 5]!;
  const bytesMax = payloadBytesMax(kind);
  if (bytesMax < 0) return "kind";
  const flags = getU16(from, at + 6);
  if (flags !== 0 && !(flags === ACK_SOON && isDataKind(kind))) return "flags";
  if (getU32(from, at + 24) !== 0) return "reserved";
  const payloadBytes = getU32(from, at + 8);
  if (payloadBytes > bytesMax) return "payload_too_large";
  const sequence = getU64(from, at + 16);
  if (sequence === undefined) return "sequence";
  if (isDataKind(kind) ? sequence === 0 : sequence !== 0 && !takesSequence(kind)) return "sequence";
  const payloadChecksum = getU32(from, at + 12);
  if (!isChecked(kind) && payloadChecksum !== 0) return "payload_checksum";
  return { kind: kind as FrameKind, flags, payloadBytes, payloadChecksum, sequence };
}

/** One whole small frame (session frames). The payload is copied. */
export function encodeFrame(
  kind: FrameKind,
  sequence: number,
  payload: Uint8Array,
  checksum: Checksum,
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const payloadChecksum = isChecked(kind) ? checksum(payload) : 0;
  encodeHeader(
    frame,
    0,
    { kind, flags: 0, payloadBytes: payload.length, payloadChecksum, sequence },
    checksum,
  );
  frame.set(payload, HEADER_BYTES);
  return frame;
}
