/** Encodes the return path's messages. */
import { invariant, latin1Bytes, put16, put32, put64 } from "./bytes.ts";
import { BITMAP_END, Reply } from "./format.ts";
import type { ReturnMessage } from "./types.ts";
import { concat } from "./writer.ts";

/** One message in a new buffer; for a bitmap with its bits and end mark (bits: whole 8-byte words). */
export function encodeReturnMessage(message: ReturnMessage): Uint8Array {
  switch (message.type) {
    case "shut":
      return frame(Reply.shut, word(message.status));
    case "pong":
      return frame(Reply.pong, word(message.value));
    case "resumeAck":
      return frame(Reply.resumeAck, word(message.value));
    case "switchoverAck":
      return frame(Reply.switchoverAck, new Uint8Array(0));
    case "request": {
      const range = new Uint8Array(12);
      put32(range, put64(range, 0, message.offset), message.bytes);
      if (message.block === undefined) return frame(Reply.request, range);
      return frame(Reply.requestId, concat([range, named(message.block)]));
    }
    case "bitmap": {
      invariant(message.bits.length % 8 === 0, "a bitmap is whole 8-byte words");
      const size = new Uint8Array(8);
      put64(size, 0, message.bits.length);
      const mark = concat(BITMAP_END.map(word));
      return concat([frame(Reply.recvBitmap, named(message.block)), size, message.bits, mark]);
    }
  }
}

function frame(type: number, payload: Uint8Array): Uint8Array {
  const head = new Uint8Array(4);
  put16(head, put16(head, 0, type), payload.length);
  return concat([head, payload]);
}

function word(value: number): Uint8Array {
  const out = new Uint8Array(4);
  put32(out, 0, value);
  return out;
}

function named(name: string): Uint8Array {
  const bytes = latin1Bytes(name);
  return concat([Uint8Array.of(bytes.length), bytes]);
}
