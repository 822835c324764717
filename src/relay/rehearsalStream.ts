import { PAGE_BYTES } from "../../kernels/mod.ts";
import {
  concat,
  emptyEnd,
  encodeBlockList,
  encodeConfiguration,
  encodeEof,
  encodeEos,
  encodeHeader,
  encodeSectionStart,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  putRecordHead,
  type RamBlock,
  RECORD_HEAD_BYTES_MAX,
} from "../stream/mod.ts";

const RAM_ID = 2;
const MIB = 2 ** 20;
const SECTION_PAGES = 64;
const WORDS = PAGE_BYTES / 4;
/** A guest like any other: its memory, and a small block of its firmware. */
const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "pc.ram", bytes: 4 * MIB },
  { index: 1, name: "pc.bios", bytes: MIB / 4 },
];

/** Words of a page from noise; pages take turns. Between them they call for each form that pages cross in. */
const PATTERNS: readonly ((noise: number, word: number) => number)[] = [
  () => 0,
  (noise) => noise,
  (noise, word) => (word % 32 === 0 ? noise : 0),
  (noise) => 0x20202020 | (noise & 0x0f070f03),
  (noise, word) => (word % 4 === 0 ? 0x7f00 | (noise & 0xff) : word >> 4),
  // All alike, in all passes.
  () => 0x5a5a5a5a,
];
const ALIKE = PATTERNS.length - 1;
/** Of those that are not alike one in so many is another page in each pass; the rest change by some words. */
const FRESH_EVERY = 4;

/**
 * The migration stream, without a return path, of a guest that does not exist.
 *
 * @param passes  over its memory, 1 or more, of 3.6 MB each
 * @returns pieces of 210 KB at most; one is good until the next is asked for
 */
export function* rehearsalStream(passes: number): Generator<Uint8Array> {
  const start = encodeSectionStart({ id: RAM_ID, name: "ram", instance: 0, version: 4 });
  const head = [encodeHeader(), encodeConfiguration("pc"), start];
  yield concat([...head, encodeBlockList(BLOCKS), encodeEos(), footer(RAM_ID)]);
  const room = new Uint8Array(5 + SECTION_PAGES * (RECORD_HEAD_BYTES_MAX + PAGE_BYTES) + 13);
  const contents = PATTERNS.map(contentOf);
  for (let pass = 0; pass < passes; pass++) {
    for (const block of BLOCKS) {
      for (let first = 0; first < block.bytes / PAGE_BYTES; first += SECTION_PAGES)
        yield room.subarray(0, writeSection(room, contents, { block, first, pass }));
    }
  }
  yield concat([emptyEnd(RAM_ID), encodeEof()]);
}

interface Section {
  readonly block: RamBlock;
  /** Number of its first page in the block. */
  readonly first: number;
  readonly pass: number;
}

/** @returns its length */
function writeSection(out: Uint8Array, contents: readonly Uint8Array[], section: Section): number {
  const { block, first, pass } = section;
  out.set(partHeader(RAM_ID));
  let at = 5;
  for (let page = first; page < first + SECTION_PAGES; page++) {
    const pattern = page % PATTERNS.length;
    const zero = pattern === 0;
    const kind = zero ? PageKind.zero : PageKind.page;
    const bodyBytes = zero ? 1 : PAGE_BYTES;
    const previous = page === first ? undefined : block;
    at = putRecordHead(out, at, { block, offset: page * PAGE_BYTES, kind, bodyBytes, previous });
    if (zero) out[at] = 0;
    else out.set(contents[pattern]!, at);
    if (!zero && pattern !== ALIKE) change(out, at, block.index * SECTION_PAGES + page, pass);
    at += bodyBytes;
  }
  out.set(partTrailer(RAM_ID), at);
  return at + 13;
}

/** Makes the page at `at` one of its own, and another one in each pass. */
function change(out: Uint8Array, at: number, page: number, pass: number): void {
  if (page % FRESH_EVERY === 0) {
    // Turned by a part of itself: no delta against the pass before is short.
    out.copyWithin(at, at + 256 * (pass + 1), at + PAGE_BYTES);
  }
  out[at + 100] = page & 0xff;
  out[at + 101] = (page >> 8) & 0x0f;
  for (let i = 0; i < 3 * pass; i++) out[at + ((512 + 264 * i) % PAGE_BYTES)] = pass + i;
}

function contentOf(pattern: (noise: number, word: number) => number): Uint8Array {
  const words = new Uint32Array(WORDS);
  let noise = 0x2545f491;
  for (let word = 0; word < WORDS; word++) {
    // xorshift32 (Marsaglia, 2003).
    noise ^= noise << 13;
    noise ^= noise >>> 17;
    noise ^= noise << 5;
    words[word] = pattern(noise, word);
  }
  return new Uint8Array(words.buffer);
}
