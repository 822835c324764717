import { getU32 } from "./bytes.ts";
import type { Checksum } from "./crc32.ts";
import { decodeHeader, type FrameFault, HEADER_BYTES, MAGIC } from "./frame.ts";
import { type FrameKind, isChecked, SessionKind } from "./kinds.ts";

/**
 * Finds whole frames in a growing buffer without copying. It keeps no bytes: the caller presents the unconsumed rest
 * again, contiguous, with more behind it. After "frame" the fields describe it, until the next call.
 */
export class FrameParser {
  kind: FrameKind = SessionKind.hello;
  flags = 0;
  sequence = 0;
  payloadStart = 0;
  payloadEnd = 0;
  readonly #checksum: Checksum;

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  /**
   * Looks for one frame at `start`. The header's bounds are checked before its payload is awaited.
   * @returns "frame": it ends at `payloadEnd`; "more": not all of it is before `end`; else the broken rule
   */
  next(buffer: Uint8Array, start: number, end: number): "frame" | "more" | FrameFault {
    if (end - start < HEADER_BYTES) {
      // A stranger may never send a whole header; four bytes give it away.
      return end - start >= 4 && getU32(buffer, start) !== MAGIC ? "magic" : "more";
    }
    const header = decodeHeader(buffer, start, this.#checksum);
    if (typeof header === "string") return header;
    const payloadStart = start + HEADER_BYTES;
    const payloadEnd = payloadStart + header.payloadBytes;
    if (payloadEnd > end) return "more";
    if (
      isChecked(header.kind) &&
      this.#checksum(buffer.subarray(payloadStart, payloadEnd)) !== header.payloadChecksum
    )
      return "payload_checksum";
    this.kind = header.kind;
    this.flags = header.flags;
    this.sequence = header.sequence;
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    return "frame";
  }
}
