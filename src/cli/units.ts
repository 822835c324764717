import { GodwitError } from "../errors/mod.ts";
import { parseSize, SIZE_FORMS } from "../qemu/mod.ts";

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const BITS: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, Mbit: 1e6, Gbit: 1e9 };

export const DURATION_FORMS = "a number with ms, s, m or h, such as 300ms or 10m";
export const RATE_FORMS =
  "a number of bits per second with bit, kbit, Mbit or Gbit (800Mbit), or 0 for no limit";
const RANGE_FORMS = "a rate such as 800Mbit, or two of them as 100Mbit..800Mbit, the smaller one first";

/** Milliseconds of "300ms", "1.5s", "10m". Errors: USAGE naming the accepted forms. */
export function duration(text: string): number {
  return amount(text, /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)$/, DURATION_MS, DURATION_FORMS);
}

/** Bytes per second of "800Mbit"; 0 for "0". Errors: USAGE naming the accepted forms. */
export function rate(text: string): number {
  if (text === "0") return 0;
  const bytesPerSec = Math.floor(
    amount(text, /^(\d{1,9}(?:\.\d{1,6})?)(bit|kbit|Mbit|Gbit)$/, BITS, RATE_FORMS) / 8,
  );
  // Rounding down to 0 would mean "no limit".
  if (bytesPerSec < 1)
    throw new GodwitError("USAGE", { problem: `${text} is less than one byte per second` });
  return bytesPerSec;
}

/** The cap on a link: one rate, or from the least to the most that the engine may choose. */
export interface Bandwidth {
  /** 0: the cap stays as it is. */
  readonly minBytesPerSec: number;
  /** 0: no cap. */
  readonly maxBytesPerSec: number;
}

/** "800Mbit", "100Mbit..800Mbit" or "0". Errors: USAGE naming the accepted forms. */
export function bandwidth(text: string): Bandwidth {
  const [min, max, ...more] = text.split("..");
  if (min === undefined || more.length > 0) return refuse(text, RANGE_FORMS);
  if (max === undefined) return { minBytesPerSec: 0, maxBytesPerSec: rate(min) };
  const range = { minBytesPerSec: rate(min), maxBytesPerSec: rate(max) };
  if (range.minBytesPerSec < 1 || range.minBytesPerSec > range.maxBytesPerSec)
    return refuse(text, RANGE_FORMS);
  return range;
}

/** Bytes of "512MiB". Errors: USAGE naming the accepted forms. */
export function size(text: string): number {
  return parseSize(text) ?? refuse(text, SIZE_FORMS);
}

function amount(text: string, form: RegExp, units: Readonly<Record<string, number>>, forms: string): number {
  const match = form.exec(text);
  if (match === null) return refuse(text, forms);
  return Math.round(Number(match[1]) * units[match[2]!]!);
}

function refuse(text: string, forms: string): never {
  throw new GodwitError("USAGE", { problem: `"${text}" is not ${forms}` });
}
