/** Made-up pages for kernels.ts: versions of pages as guests make them, the same in every run. */
import { PAGE_BYTES } from "../../kernels/mod.ts";

export type Contents =
  | "zero"
  | "random"
  | "equal"
  | "few words changed"
  | "every counter changed"
  | "text rewritten"
  | "mostly zero"
  | "pointers";

interface Ranges {
  readonly base: number;
  readonly page: number;
  readonly pages: number;
}

type Next = () => number;

/** u32 numbers without a pattern, the same for the same seed. */
function noise(state: number): Next {
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const LETTERS = "eeetttaaooiinnsshhrrdlcumwfgypbvk     \n";

function fillText(bytes: Uint8Array, next: Next): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = LETTERS.charCodeAt(next() % LETTERS.length);
}

/** Fills one base and one page, as words of 32 bits. */
type Fill = (base: Uint32Array, page: Uint32Array, next: Next) => void;

const random: Fill = (base, page, next) => {
  for (let i = 0; i < page.length; i++) {
    base[i] = next();
    page[i] = next();
  }
};

const equal: Fill = (base, page, next) => {
  random(base, page, next);
  page.set(base);
};

const bytesOf = (words: Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

const FILLS: { readonly [contents in Contents]: Fill } = {
  zero: (base, page) => {
    base.fill(0);
    page.fill(0);
  },
  random,
  equal,
  // Eight words of a page: what the bench's guest calls "a few".
  "few words changed": (base, page, next) => {
    equal(base, page, next);
    for (let i = 0; i < 8; i++) page[next() % page.length] = next();
  },
  // A table of 64-bit counters, each one higher by little.
  "every counter changed": (base, page, next) => {
    equal(base, page, next);
    const bytes = bytesOf(page);
    for (let at = 0; at < bytes.length; at += 8) bytes[at]! += 1 + (next() % 9);
  },
  "text rewritten": (base, page, next) => {
    fillText(bytesOf(base), next);
    fillText(bytesOf(page), next);
  },
  "mostly zero": (base, page, next) => {
    base.fill(0);
    page.fill(0);
    for (let i = 0; i < 100; i++) page[next() % page.length] = next() >>> (next() % 25);
  },
  // Addresses in a few areas, zeros, small numbers.
  pointers: (base, page, next) => {
    base.fill(0);
    const areas = Array.from({ length: 6 }, next);
    for (let i = 0; i < page.length; i += 2) {
      const kind = next() % 8;
      page[i] = kind < 3 ? 0 : kind < 4 ? next() % 1000 : (areas[next() % 6]! & ~1023) | (next() & 1020);
      page[i + 1] = kind < 4 ? 0 : 0xffff8880;
    }
  },
};

/** Fills the ranges of a working set. */
export function fillPages(memory: Uint8Array<ArrayBuffer>, at: Ranges, contents: Contents): void {
  const next = noise(0x9e3779b1);
  const words = (from: number): Uint32Array => new Uint32Array(memory.buffer, from, PAGE_BYTES / 4);
  for (let i = 0; i < at.pages; i++) {
    FILLS[contents](words(at.base + i * PAGE_BYTES), words(at.page + i * PAGE_BYTES), next);
  }
}
