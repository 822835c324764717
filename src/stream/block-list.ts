/** The MEM_SIZE record in the START section of "ram": which blocks there are, and how long. */
import { be16, Cursor } from "./bytes.ts";
import { BLOCK_LIST_BYTES_MAX, BLOCKS_MAX, PAGE_BYTES, RamFlag } from "./format.ts";
import type { StreamRule } from "./rules.ts";
import { type RamBlock, StreamFault } from "./types.ts";

export interface BlockList {
  readonly totalBytes: number;
  readonly blocks: readonly RamBlock[];
  /** Where the record ends in the buffer. */
  readonly end: number;
}

export interface BlockListOptions {
  /** x-ignore-shared was announced: an address follows each length. */
  readonly ignoreShared: boolean;
  /** Post-copy was advised: a page size follows the length of each block of huge pages. */
  readonly postcopy: boolean;
  readonly blocksMax: number;
  /** Of all blocks together. */
  readonly ramBytesMax: number;
}

/**
 * @returns undefined when more bytes are needed (a few bytes behind the list too, see `pageBytes` below)
 * @throws StreamFault
 */
export function readBlockList(
  buffer: Uint8Array,
  at: number,
  end: number,
  base: number,
  options: BlockListOptions,
): BlockList | undefined {
  const c = new Cursor(buffer, at, end);
  const word = c.u64();
  if (c.short) return undefined;
  if ((be16(buffer, at + 6) & 0xfff) !== RamFlag.memSize)
    throw new StreamFault("mem_size_missing", base + at);
  if (word > Number.MAX_SAFE_INTEGER) throw new StreamFault("block_sum", base + at);
  const totalBytes = word - RamFlag.memSize;
  if (totalBytes > options.ramBytesMax) throw new StreamFault("ram_too_large", base + at);

  const blocks: RamBlock[] = [];
  const names = new Set<string>();
  let rest = totalBytes;
  while (rest > 0) {
    const entryAt = c.at;
    const fault = (rule: StreamRule) => new StreamFault(rule, base + entryAt);
    if (blocks.length >= Math.min(options.blocksMax, BLOCKS_MAX)) throw fault("blocks_too_many");
    if (entryAt - at > BLOCK_LIST_BYTES_MAX) throw fault("blocks_too_many");
    const nameBytes = c.u8();
    if (!c.short && nameBytes === 0) throw fault("name_empty");
    const name = c.text(nameBytes);
    const bytes = c.u64();
    if (c.short) return undefined;
    if (names.has(name)) throw fault("block_twice");
    names.add(name);
    if (bytes % PAGE_BYTES !== 0) throw fault("block_bytes");
    if (bytes > rest) throw fault("block_sum");
    rest -= bytes;
    const gpa = options.ignoreShared ? c.u64() : undefined;
    const pageBytes = options.postcopy && !options.ignoreShared ? readPageBytes(c, rest === 0) : undefined;
    if (c.short) return undefined;
    if (gpa !== undefined && gpa > Number.MAX_SAFE_INTEGER) throw fault("block_bytes");
    if (pageBytes !== undefined && !isHugePage(pageBytes)) throw fault("block_page_size");
    blocks.push({
      index: blocks.length,
      name,
      bytes,
      ...(pageBytes !== undefined && { pageBytes }),
      ...(gpa !== undefined && { gpa }),
    });
  }
  return { totalBytes, blocks, end: c.at };
}

/**
 * A page size is there or not, and nothing says which. But it can be told: its first byte is 0, and what follows an
 * entry otherwise is the length of a name (never 0) or, behind the last entry, the end mark (never a page size).
 */
function readPageBytes(c: Cursor, last: boolean): number | undefined {
  if (c.peek() !== 0) return undefined;
  if (!last) return c.u64();
  const value = c.u64();
  if (value !== RamFlag.eos) return value;
  c.at -= 8;
  return undefined;
}

function isHugePage(bytes: number): boolean {
  return bytes > PAGE_BYTES && bytes <= 2 ** 40 && Number.isInteger(Math.log2(bytes));
}
