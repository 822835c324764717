/**
 * The hot loop over RAM records. Nothing is allocated per page; the page's bytes stay where they are.
 * Shared by StreamReader (inside sections) and RamRecordReader (bare frames).
 */
import { be16, be32, latin1, latin1Bytes } from "./bytes.ts";
import { COMPRESSED_BYTES_MAX, PAGE_BYTES, RamFlag } from "./format.ts";
import type { StreamRule } from "./rules.ts";
import { PageKind, type RamBlock } from "./types.ts";
import { xbzrleFits } from "./xbzrle.ts";

export interface PageHandler {
  /** See StreamHandler.page. */
  page(block: RamBlock, offset: number, kind: PageKind, buffer: Uint8Array, start: number, end: number): void;
}

/** A block with what the loop needs: its name's bytes, and the largest offset of a page in it. */
interface Known {
  readonly block: RamBlock;
  readonly name: Uint8Array;
  readonly offsetMax: number;
}

const PAGE_CONTINUE = RamFlag.page | RamFlag.continue;

export class RecordScanner {
  /** Set by `scan` when it stopped at the section's end mark; the mark is not consumed. */
  eos = false;
  /** Set by `scan` when the record where it stopped breaks a rule. */
  fault: StreamRule | undefined;
  /** After the package: only whole pages are allowed. */
  postcopy = false;
  readonly #handler: PageHandler;
  readonly #known = new Map<string, Known>();
  #current: Known | undefined;

  constructor(handler: PageHandler) {
    this.#handler = handler;
  }

  setBlocks(blocks: readonly RamBlock[]): void {
    this.#known.clear();
    this.#current = undefined;
    for (const block of blocks) {
      const known = { block, name: latin1Bytes(block.name), offsetMax: block.bytes - PAGE_BYTES };
      this.#known.set(block.name, known);
    }
  }

  /** The block that a CONTINUE record refers to. */
  get current(): RamBlock | undefined {
    return this.#current?.block;
  }

  /** @returns false when the block is not one of those set. */
  setCurrent(block: RamBlock | undefined): boolean {
    this.#current = block === undefined ? undefined : this.#known.get(block.name);
    return block === undefined || this.#current !== undefined;
  }

  /**
   * Tells every whole record of `buffer[start..end)`.
   * @returns where it stopped: at an incomplete record, at the end mark (`eos`) or at a broken rule (`fault`)
   */
  scan(buffer: Uint8Array, start: number, end: number): number {
    const handler = this.#handler;
    let known = this.#current;
    let p = start;
    this.eos = false;
    this.fault = undefined;
    while (end - p >= 8) {
      const flags = ((buffer[p + 6]! & 0x0f) << 8) | buffer[p + 7]!;
      const offset =
        be32(buffer, p) * 2 ** 32 +
        (((buffer[p + 4]! << 24) | (buffer[p + 5]! << 16) | ((buffer[p + 6]! & 0xf0) << 8)) >>> 0);
      if (flags === PAGE_CONTINUE && known !== undefined) {
        if (offset > known.offsetMax) return this.#stop(known, p, "page_outside_block");
        if (end - p < 8 + PAGE_BYTES) break;
        handler.page(known.block, offset, PageKind.page, buffer, p + 8, p + 8 + PAGE_BYTES);
        p += 8 + PAGE_BYTES;
        continue;
      }
      if (flags === RamFlag.eos && offset === 0) {
        this.eos = true;
        break;
      }
      const kind = kindOf(flags);
      if (kind === undefined) return this.#stop(known, p, ruleOf(flags));

      let body = p + 8;
      let block = known;
      if ((flags & RamFlag.continue) === 0) {
        if (body >= end) break;
        const nameBytes = buffer[body]!;
        if (nameBytes === 0) return this.#stop(known, p, "name_empty");
        if (end - body < 1 + nameBytes) break;
        block = this.#named(buffer, body + 1, nameBytes, known);
        if (block === undefined) return this.#stop(known, p, "block_unknown");
        body += 1 + nameBytes;
      }
      if (block === undefined) return this.#stop(known, p, "continue_without_block");
      if (offset > block.offsetMax) return this.#stop(known, p, "page_outside_block");

      let bodyEnd: number;
      if (kind === PageKind.zero) {
        bodyEnd = body + 1;
        if (bodyEnd > end) break;
        if (buffer[body] !== 0) return this.#stop(known, p, "zero_fill");
      } else if (kind === PageKind.page) {
        bodyEnd = body + PAGE_BYTES;
        if (bodyEnd > end) break;
      } else if (kind === PageKind.xbzrle) {
        if (this.postcopy) return this.#stop(known, p, "xbzrle_in_postcopy");
        if (end - body < 3) break;
        if (buffer[body] !== 1) return this.#stop(known, p, "xbzrle_header");
        const bytes = be16(buffer, body + 1);
        if (bytes < 1 || bytes > PAGE_BYTES) return this.#stop(known, p, "xbzrle_length");
        body += 3;
        bodyEnd = body + bytes;
        if (bodyEnd > end) break;
        if (!xbzrleFits(buffer, body, bodyEnd, PAGE_BYTES)) return this.#stop(known, p, "xbzrle_body");
      } else {
        if (end - body < 4) break;
        const bytes = be32(buffer, body);
        if (bytes < 1 || bytes > COMPRESSED_BYTES_MAX) return this.#stop(known, p, "compressed_length");
        body += 4;
        bodyEnd = body + bytes;
        if (bodyEnd > end) break;
      }
      handler.page(block.block, offset, kind, buffer, body, bodyEnd);
      known = block;
      p = bodyEnd;
    }
    this.#current = known;
    return p;
  }

  #stop(known: Known | undefined, p: number, rule: StreamRule): number {
    this.#current = known;
    this.fault = rule;
    return p;
  }

  /** Blocks seldom change from record to record, so the last one is tried first, without making a string. */
  #named(buffer: Uint8Array, at: number, bytes: number, last: Known | undefined): Known | undefined {
    if (last !== undefined && last.name.length === bytes) {
      let i = 0;
      while (i < bytes && last.name[i] === buffer[at + i]) i++;
      if (i === bytes) return last;
    }
    return this.#known.get(latin1(buffer, at, at + bytes));
  }
}

function kindOf(flags: number): PageKind | undefined {
  switch (flags & ~RamFlag.continue) {
    case RamFlag.zero:
      return PageKind.zero;
    case RamFlag.page:
      return PageKind.page;
    case RamFlag.xbzrle:
      return PageKind.xbzrle;
    case RamFlag.compressPage:
      return PageKind.compressed;
    default:
      return undefined;
  }
}

function ruleOf(flags: number): StreamRule {
  if (flags & RamFlag.multifdFlush) return "multifd_unsupported";
  if (flags & RamFlag.hook) return "rdma_unsupported";
  if (flags & RamFlag.memSize) return "mem_size_outside_start";
  return "record_flags";
}
