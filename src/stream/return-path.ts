/** Reads the return path (target to source): SHUT, PONG, page requests, received bitmaps, acknowledgements. */
import { be16, be32, be64, Cursor } from "./bytes.ts";
import { BITMAP_END, PAGE_BYTES, REPLY_BYTES_MAX, Reply } from "./format.ts";
import type { StreamRule } from "./rules.ts";
import { type RamBlock, type ReturnMessage, StreamFault } from "./types.ts";

export interface ReturnPathHandler {
  /**
   * A whole message; `start..end` are its bytes, to be forwarded (or withheld) as they are.
   * For a bitmap the bytes were all told by `bytes` before, and the range is empty.
   */
  message(message: ReturnMessage, buffer: Uint8Array, start: number, end: number): void;
  /** A bitmap of this block begins. Before any byte of it is told. */
  bitmap?(block: string): void;
  /** Verbatim bytes of a bitmap, in pieces. */
  bytes(buffer: Uint8Array, start: number, end: number): void;
}

export interface ReturnPathOptions {
  /** When known, block names, request ranges and bitmap sizes are checked against them. */
  readonly blocks?: readonly RamBlock[];
  /** Longest bitmap in bytes; default 64 MiB, enough for a block of 2 TiB. It is the only thing held here. */
  readonly bitmapBytesMax?: number;
}

/** A bitmap on its way: its bits so far. */
interface Bitmap {
  readonly block: string;
  readonly bits: Uint8Array;
  filled: number;
}

export class ReturnPathReader {
  readonly #handler: ReturnPathHandler;
  readonly #bitmapBytesMax: number;
  #blocks: Map<string, RamBlock> | undefined;
  #lastBlock: string | undefined;
  #bitmap: Bitmap | undefined;
  #shut = false;
  #consumed = 0;
  #fault: StreamFault | undefined;

  constructor(handler: ReturnPathHandler, options: ReturnPathOptions = {}) {
    this.#handler = handler;
    this.#bitmapBytesMax = options.bitmapBytesMax ?? 64 * 2 ** 20;
    if (options.blocks !== undefined) this.setBlocks(options.blocks);
  }

  /** From now on names and ranges are checked. */
  setBlocks(blocks: readonly RamBlock[]): void {
    this.#blocks = new Map(blocks.map((block) => [block.name, block]));
  }

  /** The block that a request without a name refers to. */
  get lastBlock(): string | undefined {
    return this.#lastBlock;
  }

  /** Bytes consumed before the message that is being told. */
  get consumedBytes(): number {
    return this.#consumed;
  }

  /**
   * Same convention as StreamReader.push; the rest is never longer than 4 + 512 bytes.
   * @throws StreamFault; from then on every call throws the same
   */
  push(buffer: Uint8Array, start: number, end: number): number {
    if (this.#fault !== undefined) throw this.#fault;
    let p = start;
    try {
      while (p < end) {
        const next = this.#bitmap === undefined ? this.#message(buffer, p, end) : this.#bits(buffer, p, end);
        if (next === p) break;
        this.#consumed += next - p;
        p = next;
      }
    } catch (error) {
      if (error instanceof StreamFault) this.#fault = error;
      throw error;
    }
    return p;
  }

  #message(buffer: Uint8Array, p: number, end: number): number {
    if (this.#shut) throw this.#broken("after_shut");
    if (end - p < 4) return p;
    const type = be16(buffer, p);
    const bytes = be16(buffer, p + 2);
    if (type < Reply.shut || type > Reply.switchoverAck) throw this.#broken("message_unknown");
    if (bytes > REPLY_BYTES_MAX) throw this.#broken("message_length");
    const at = p + 4;
    const messageEnd = at + bytes;
    if (type === Reply.recvBitmap) return this.#bitmapHead(buffer, p, messageEnd, end);
    if (messageEnd > end) return p;
    const message = this.#parse(type, buffer, at, bytes);
    if (message.type === "shut") this.#shut = true;
    this.#handler.message(message, buffer, p, messageEnd);
    return messageEnd;
  }

  #parse(type: number, buffer: Uint8Array, at: number, bytes: number): ReturnMessage {
    switch (type) {
      case Reply.shut:
        return { type: "shut", status: this.#word(buffer, at, bytes) };
      case Reply.pong:
        return { type: "pong", value: this.#word(buffer, at, bytes) };
      case Reply.resumeAck: {
        const value = this.#word(buffer, at, bytes);
        if (value !== 1) throw this.#broken("resume_ack_value");
        return { type: "resumeAck", value };
      }
      case Reply.switchoverAck:
        if (bytes !== 0) throw this.#broken("message_length");
        return { type: "switchoverAck" };
      default:
        return this.#request(type === Reply.requestId, buffer, at, bytes);
    }
  }

  #request(named: boolean, buffer: Uint8Array, at: number, bytes: number): ReturnMessage {
    const c = new Cursor(buffer, at, at + bytes);
    const offset = c.u64();
    const requestBytes = c.u32();
    const name = named ? c.name() : undefined;
    if (c.short || c.at !== at + bytes) throw this.#broken("message_length");
    if (name === "") throw this.#broken("name_empty");
    const block = name ?? this.#lastBlock;
    if (block === undefined) throw this.#broken("request_without_block");
    const known = this.#known(block);
    if (offset % PAGE_BYTES !== 0 || requestBytes % PAGE_BYTES !== 0 || requestBytes === 0) {
      throw this.#broken("request_range");
    }
    if (offset + requestBytes > (known?.bytes ?? Number.MAX_SAFE_INTEGER))
      throw this.#broken("request_range");
    this.#lastBlock = block;
    return { type: "request", block: name, offset, bytes: requestBytes };
  }

  /** The message and the be64 size behind it. */
  #bitmapHead(buffer: Uint8Array, p: number, messageEnd: number, end: number): number {
    if (messageEnd + 8 > end) return p;
    const c = new Cursor(buffer, p + 4, messageEnd);
    const block = c.name();
    if (c.short || c.at !== messageEnd) throw this.#broken("message_length");
    if (block === "") throw this.#broken("name_empty");
    const known = this.#known(block);
    const size = be64(buffer, messageEnd);
    const expected = known === undefined ? size : Math.ceil(known.bytes / PAGE_BYTES / 64) * 8;
    if (size !== expected || size % 8 !== 0 || size === 0 || size > this.#bitmapBytesMax) {
      throw this.#broken("bitmap_size");
    }
    this.#handler.bitmap?.(block);
    this.#bitmap = { block, bits: new Uint8Array(size), filled: 0 };
    this.#handler.bytes(buffer, p, messageEnd + 8);
    return messageEnd + 8;
  }

  #bits(buffer: Uint8Array, p: number, end: number): number {
    const bitmap = this.#bitmap!;
    const missing = bitmap.bits.length - bitmap.filled;
    if (missing > 0) {
      const pieceEnd = Math.min(end, p + missing);
      bitmap.bits.set(buffer.subarray(p, pieceEnd), bitmap.filled);
      bitmap.filled += pieceEnd - p;
      this.#handler.bytes(buffer, p, pieceEnd);
      return pieceEnd;
    }
    if (end - p < 8) return p;
    if (be32(buffer, p) !== BITMAP_END[0] || be32(buffer, p + 4) !== BITMAP_END[1])
      throw this.#broken("bitmap_end");
    this.#bitmap = undefined;
    this.#handler.bytes(buffer, p, p + 8);
    this.#handler.message({ type: "bitmap", block: bitmap.block, bits: bitmap.bits }, buffer, p + 8, p + 8);
    return p + 8;
  }

  #word(buffer: Uint8Array, at: number, bytes: number): number {
    if (bytes !== 4) throw this.#broken("message_length");
    return be32(buffer, at);
  }

  #known(block: string): RamBlock | undefined {
    const known = this.#blocks?.get(block);
    if (this.#blocks !== undefined && known === undefined) throw this.#broken("block_unknown");
    return known;
  }

  #broken(rule: StreamRule): StreamFault {
    return new StreamFault(rule, this.#consumed);
  }
}
