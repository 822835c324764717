/** Encodes RAM records, and turns records that lean on an earlier one into records that stand alone. */
import { invariant, latin1Bytes, put16, put32, put64 } from "./bytes.ts";
import { COMPRESSED_BYTES_MAX, PAGE_BYTES, RamFlag } from "./format.ts";
import { PageKind, type RamBlock } from "./types.ts";

/** The most bytes that come before a page's body in a record: word, name, XBZRLE or zlib length. */
export const RECORD_HEAD_BYTES_MAX = 8 + 256 + 4;
/** The longest record. */
export const RECORD_BYTES_MAX = 8 + 256 + 4 + COMPRESSED_BYTES_MAX;

const FLAGS: { readonly [K in PageKind]: number } = {
  [PageKind.zero]: RamFlag.zero,
  [PageKind.page]: RamFlag.page,
  [PageKind.xbzrle]: RamFlag.xbzrle,
  [PageKind.compressed]: RamFlag.compressPage,
};

export interface RecordHead {
  readonly block: RamBlock;
  /** Byte offset in the block, a multiple of 4096. */
  readonly offset: number;
  readonly kind: PageKind;
  /** Length of the body that follows; 1 for zero, 4096 for page. */
  readonly bodyBytes: number;
  /** The block of the record that QEMU is given just before: when it is the same, CONTINUE is written, no name. */
  readonly previous: RamBlock | undefined;
}

/** Writes what comes before a page's body. @returns where the body begins */
export function putRecordHead(out: Uint8Array, at: number, head: RecordHead): number {
  const { block, offset, kind, bodyBytes, previous } = head;
  invariant(offset % PAGE_BYTES === 0 && offset + PAGE_BYTES <= block.bytes, "a page lies inside its block");
  invariant(at + headBytes(head) <= out.length, "the head has room");
  const continues = previous !== undefined && previous.name === block.name;
  let p = put64(out, at, offset + FLAGS[kind] + (continues ? RamFlag.continue : 0));
  if (!continues) p = putName(out, p, block);
  if (kind === PageKind.xbzrle) {
    invariant(bodyBytes >= 1 && bodyBytes <= PAGE_BYTES, "an XBZRLE body has 1..4096 bytes");
    out[p] = 1;
    return put16(out, p + 1, bodyBytes);
  }
  if (kind === PageKind.compressed) {
    invariant(bodyBytes >= 1 && bodyBytes <= COMPRESSED_BYTES_MAX, "a compressed body has 1..4110 bytes");
    return put32(out, p, bodyBytes);
  }
  invariant(bodyBytes === (kind === PageKind.zero ? 1 : PAGE_BYTES), "the body has the kind's length");
  return p;
}

/** A whole record in a new buffer. @param body  zero: one byte 0; page: 4096 bytes; else the encoded body */
export function encodeRecord(head: Omit<RecordHead, "bodyBytes">, body: Uint8Array): Uint8Array {
  const full = { ...head, bodyBytes: body.length };
  const out = new Uint8Array(headBytes(full) + body.length);
  out.set(body, putRecordHead(out, 0, full));
  return out;
}

function headBytes({ block, kind, previous }: RecordHead): number {
  const name = previous !== undefined && previous.name === block.name ? 0 : 1 + block.name.length;
  const length = kind === PageKind.xbzrle ? 3 : kind === PageKind.compressed ? 4 : 0;
  return 8 + name + length;
}

function putName(out: Uint8Array, at: number, block: RamBlock): number {
  const name = latin1Bytes(block.name);
  out[at] = name.length;
  out.set(name, at + 1);
  return at + 1 + name.length;
}

/**
 * A run of records may begin with CONTINUE, which means the block of whatever record the receiver was given before.
 * When that is another block (or none), the first record must name its block itself.
 *
 * @param buffer  the run begins at `start` with a whole record (as StreamHandler.records tells it)
 * @param context  the block that a leading CONTINUE refers to
 * @param previous  the block of the last record that the receiver was given; undefined when none
 * @returns undefined when the run may go as it is; else what to send instead of the run's first 8 bytes
 */
export function explicitFirst(
  buffer: Uint8Array,
  start: number,
  context: RamBlock | undefined,
  previous: RamBlock | undefined,
): Uint8Array | undefined {
  const continues = (buffer[start + 7]! & RamFlag.continue) !== 0;
  if (!continues || (previous !== undefined && previous.name === context?.name)) return undefined;
  invariant(context !== undefined, "a leading CONTINUE has a context");
  const out = new Uint8Array(8 + 1 + context.name.length);
  out.set(buffer.subarray(start, start + 8));
  out[7] = out[7]! & ~RamFlag.continue;
  putName(out, 8, context);
  return out;
}
