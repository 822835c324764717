/** A guest's memory: pages that never change in place, so that a copy of the whole is a copy of a list. */
import type { RamBlock } from "../../src/stream/mod.ts";
import type { Random } from "../engine/random.ts";

export const PAGE_BYTES = 4096;
export const ZEROS = new Uint8Array(PAGE_BYTES);

export class Memory {
  readonly blocks: readonly RamBlock[];
  /** All blocks' pages, one behind the other. */
  readonly pages: Uint8Array[];
  readonly #firsts = new Map<string, number>();

  constructor(blocks: readonly RamBlock[]) {
    this.blocks = blocks;
    let total = 0;
    for (const block of blocks) {
      this.#firsts.set(block.name, total);
      total += block.bytes / PAGE_BYTES;
    }
    this.pages = Array.from({ length: total }, () => ZEROS);
  }

  get count(): number {
    return this.pages.length;
  }

  number(block: string, offset: number): number {
    return this.#firsts.get(block)! + offset / PAGE_BYTES;
  }

  place(page: number): { readonly block: RamBlock; readonly offset: number } {
    let block = this.blocks[0]!;
    for (const each of this.blocks) if (this.#firsts.get(each.name)! <= page) block = each;
    return { block, offset: (page - this.#firsts.get(block.name)!) * PAGE_BYTES };
  }

  snapshot(): readonly Uint8Array[] {
    return [...this.pages];
  }
}

export function samePage(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}

/** What guests write: words of few kinds, noise, text-like repetition. Made once. */
const PATTERNS: Uint8Array[] = [];

function patterns(random: Random): readonly Uint8Array[] {
  if (PATTERNS.length > 0) return PATTERNS;
  for (let kind = 0; kind < 24; kind++) {
    const page = new Uint8Array(PAGE_BYTES);
    const words = new Uint32Array(page.buffer);
    const dictionary = Array.from({ length: 1 + (kind % 7) }, () => random.u32());
    for (let word = 0; word < words.length; word++) {
      if (kind % 3 === 0) words[word] = random.u32();
      else if (kind % 3 === 1) words[word] = dictionary[word % dictionary.length]!;
      else words[word] = random.chance(0.06) ? random.u32() & 0xff : 0;
    }
    PATTERNS.push(page);
  }
  return PATTERNS;
}

/** A guest that writes: how much, where, and what. */
export class Writer {
  readonly #memory: Memory;
  readonly #random: Random;
  readonly #patterns: readonly Uint8Array[];
  /** A part of the memory gets most of the writes. */
  readonly #hot: number;

  /** @param patterns  from one source for all worlds, so that they are the same in each */
  constructor(memory: Memory, random: Random, source: Random) {
    this.#memory = memory;
    this.#random = random;
    this.#patterns = patterns(source);
    this.#hot = random.int(1, Math.max(1, memory.count >> 2));
  }

  /** Before the guest is first looked at. */
  fill(): void {
    for (let page = 0; page < this.#memory.count; page++)
      if (this.#random.chance(0.6)) this.#memory.pages[page] = this.#random.pick(this.#patterns);
  }

  /** One write. @returns the page */
  write(): number {
    const random = this.#random;
    const { pages, count } = this.#memory;
    const page = random.chance(0.8) ? random.int(0, this.#hot - 1) : random.int(0, count - 1);
    const how = random.float();
    if (how < 0.08) pages[page] = ZEROS;
    else if (how < 0.2) pages[page] = pages[random.int(0, count - 1)]!;
    else if (how < 0.35) pages[page] = random.pick(this.#patterns);
    else {
      const changed = pages[page]!.slice();
      const bytes = random.chance(0.7) ? random.int(1, 40) : random.int(40, 2000);
      const at = random.int(0, PAGE_BYTES - bytes);
      for (let i = 0; i < bytes; i++) changed[at + i] = random.u32();
      pages[page] = changed;
    }
    return page;
  }
}
