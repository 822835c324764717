/** Payloads of `pages` and `again` frames: the prefix, and the pieces that entries are made of. docs/wire.md, "Pages". */
import { getU16, getU32, putU16, putU32 } from "./bytes.ts";
import { AGAIN_BYTES_MAX, PAYLOAD_BYTES_MAX } from "./kinds.ts";

export const PAGES_PREFIX_BYTES = 8;
/** Of the entries of one frame, unpacked. */
export const PAGES_BODY_BYTES_MAX = PAYLOAD_BYTES_MAX - PAGES_PREFIX_BYTES;
/** The prefix counts them in 16 bits. */
export const PAGES_ENTRIES_MAX = 0xffff;
/**
 * What the target's QEMU is given for one frame at most (`pagesOutputBytes`): a frame of a few bytes may stand for many
 * pages, and the target keeps room for all of them before it begins.
 */
export const PAGES_OUTPUT_BYTES_MAX = 960_000;
/** Pages that one `again` asks for. */
export const AGAIN_PAGES_MAX = AGAIN_BYTES_MAX / 4;

/** What lies behind the prefix. */
export const PagesForm = {
  /** Entries. */
  plain: 0,
  /** One zstd frame, shorter than the entries in it. */
  zstd: 1,
  /** Entries of the form raw only, sent in answer to `again`. */
  repair: 2,
  /** Entries that the target's guest waits for, in post-copy: they may overtake other frames `pages`. */
  answer: 3,
} as const;
export type PagesForm = (typeof PagesForm)[keyof typeof PagesForm];

/** The low bits of an entry's head: in what form it carries its page. Bits 4..6 are 0. */
export const EntryForm = { zero: 0, same: 1, delta: 2, sparse: 3, wkdm: 4, raw: 5 } as const;
export type EntryForm = (typeof EntryForm)[keyof typeof EntryForm];
/** Bit of an entry's head: its page is the one behind the last page of the entry before; no number follows. */
export const ENTRY_NEXT = 0x80;
export const VARINT_BYTES_MAX = 5;

/** What one content page, one page of zeros, and one change of block count in `pagesOutputBytes`. */
const OUTPUT = { page: 8 + 4096, zero: 8 + 1, block: 1 + 256 } as const;

/** The most bytes of QEMU's records that this many pages become. `blocks`: changes of block, the first record's included. */
export function pagesOutputBytes(contents: number, zeros: number, blocks: number): number {
  return contents * OUTPUT.page + zeros * OUTPUT.zero + blocks * OUTPUT.block;
}

export interface PagesPrefix {
  readonly form: PagesForm;
  /** 1..PAGES_ENTRIES_MAX */
  readonly entries: number;
  /** Of the entries, unpacked: 1..PAGES_BODY_BYTES_MAX. */
  readonly bodyBytes: number;
}

export type PagesPrefixFault =
  | "pages_too_short"
  | "pages_form"
  | "pages_reserved"
  | "pages_empty"
  | "pages_body_too_large"
  | "pages_length";

/** The prefix in a new buffer. Throws RangeError outside the bounds of PagesPrefix. */
export function encodePagesPrefix(prefix: PagesPrefix): Uint8Array {
  const { form, entries, bodyBytes } = prefix;
  if (!(entries >= 1 && entries <= PAGES_ENTRIES_MAX))
    throw new RangeError(`${entries} entries in one frame`);
  if (!(bodyBytes >= 1 && bodyBytes <= PAGES_BODY_BYTES_MAX))
    throw new RangeError(`entries of ${bodyBytes} bytes in one frame`);
  const b = new Uint8Array(PAGES_PREFIX_BYTES);
  b[0] = form;
  putU16(b, 2, entries);
  putU32(b, 4, bodyBytes);
  return b;
}

/** The prefix of a whole payload, or the name of the first rule that it breaks. The entries are judged elsewhere. */
export function decodePagesPrefix(payload: Uint8Array): PagesPrefix | PagesPrefixFault {
  if (payload.length < PAGES_PREFIX_BYTES) return "pages_too_short";
  const form = payload[0]!;
  if (!isPagesForm(form)) return "pages_form";
  if (payload[1] !== 0) return "pages_reserved";
  const entries = getU16(payload, 2);
  const bodyBytes = getU32(payload, 4);
  if (entries === 0 || bodyBytes === 0) return "pages_empty";
  if (bodyBytes > PAGES_BODY_BYTES_MAX) return "pages_body_too_large";
  const behind = payload.length - PAGES_PREFIX_BYTES;
  // What packing does not make shorter goes plain: so whoever unpacks reads less than it writes.
  const fits = form === PagesForm.zstd ? behind >= 1 && behind < bodyBytes : behind === bodyBytes;
  return fits ? { form, entries, bodyBytes } : "pages_length";
}

function isPagesForm(form: number): form is PagesForm {
  return form >= PagesForm.plain && form <= PagesForm.answer;
}

/** Payload of `again`. Throws RangeError for no page, too many, or a number outside u32. */
export function encodeAgain(pages: readonly number[]): Uint8Array {
  if (pages.length < 1 || pages.length > AGAIN_PAGES_MAX)
    throw new RangeError(`${pages.length} pages asked for at once`);
  const b = new Uint8Array(4 * pages.length);
  for (const [i, page] of pages.entries()) {
    if (!(page >= 0 && page <= 0xffff_ffff)) throw new RangeError(`page ${page}`);
    putU32(b, 4 * i, page);
  }
  return b;
}

/** The pages asked for, or the name of the broken rule. Whether they exist is the receiver's to check. */
export function decodeAgain(payload: Uint8Array): number[] | "again_empty" | "again_length" {
  if (payload.length === 0) return "again_empty";
  if (payload.length % 4 !== 0 || payload.length > AGAIN_BYTES_MAX) return "again_length";
  return Array.from({ length: payload.length / 4 }, (_, i) => getU32(payload, 4 * i));
}

/** Bytes that `putVarint` writes for `value`, 1..5. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/**
 * Writes an unsigned LEB128 number: 7 bits a byte, the lowest first, bit 7 set but in the last byte.
 * @param value  u32 (the caller asserts)
 * @returns the offset behind it
 */
export function putVarint(into: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest > 0x7f) {
    into[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[next++] = rest;
  return next;
}

/** Reads numbers of a peer without allocating: the value is a field until the next call. */
export class VarintReader {
  /** u32; of no meaning when `read` gave -1. */
  value = 0;

  /**
   * Reads one number at `at`. It need not be as short as could be, but ends before `end` and is a u32.
   * @returns the offset behind it, or -1 when it breaks that rule
   */
  read(from: Uint8Array, at: number, end: number): number {
    let value = 0;
    const last = at + VARINT_BYTES_MAX - 1;
    for (let i = at, shift = 0; i < end && i <= last; i++, shift += 7) {
      const byte = from[i]!;
      if (i === last && byte > 0x0f) return -1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.value = value >>> 0;
        return i + 1;
      }
    }
    return -1;
  }
}
