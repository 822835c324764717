/** The prefix of a `records` frame; behind it RAM records in QEMU's own format. */
import { getU16, putU16 } from "./bytes.ts";

export const RECORDS_PREFIX_BYTES = 4;
/** The first record names its block itself. */
export const NO_CONTEXT = 0xffff;

export interface RecordsPrefix {
  /** Index of the block that a leading CONTINUE record refers to, 0..0xfffe; undefined when none is needed. */
  readonly context: number | undefined;
  /** Records behind the prefix, 1..0xffff. A payload of 128 KiB holds at most 14563 (9 bytes for a zero page). */
  readonly pages: number;
}

/** The prefix in a new buffer. Throws RangeError outside the bounds of RecordsPrefix. */
export function encodeRecordsPrefix(prefix: RecordsPrefix): Uint8Array {
  const { context, pages } = prefix;
  if (context !== undefined && !(context >= 0 && context < NO_CONTEXT))
    throw new RangeError(`block ${context}`);
  if (!(pages >= 1 && pages <= 0xffff)) throw new RangeError(`${pages} pages in one frame`);
  const b = new Uint8Array(RECORDS_PREFIX_BYTES);
  putU16(b, 0, context ?? NO_CONTEXT);
  putU16(b, 2, pages);
  return b;
}

/** The prefix, or the name of the broken rule. Whether the block exists is the receiver's to check. */
export function decodeRecordsPrefix(
  payload: Uint8Array,
): RecordsPrefix | "records_too_short" | "records_empty" {
  if (payload.length < RECORDS_PREFIX_BYTES) return "records_too_short";
  const context = getU16(payload, 0);
  const pages = getU16(payload, 2);
  if (pages === 0 || payload.length === RECORDS_PREFIX_BYTES) return "records_empty";
  return { context: context === NO_CONTEXT ? undefined : context, pages };
}
