// Vectors for the four words that WKdm looks at together, by a mask of four bits that says which of them count.
import { WKDM_TABLES_AT } from "../layout";

const TABLES: usize = WKDM_TABLES_AT;
const TABLE_BYTES: usize = 256;
/** An index that a swizzle answers with zero. */
const NOTHING: u8 = 255;

/** Swizzles that bring together the lanes that count, as words, as their low halves, as their lowest bytes. */
export const GATHER_WORDS: usize = TABLES;
export const GATHER_HALVES: usize = TABLES + TABLE_BYTES;
export const GATHER_BYTES: usize = TABLES + 2 * TABLE_BYTES;
/** Swizzle that spreads the first words over the lanes that count; the other lanes become zero. */
export const SPREAD: usize = TABLES + 3 * TABLE_BYTES;
/** Ones in the lanes that count. */
export const LANES: usize = TABLES + 4 * TABLE_BYTES;

// @ts-ignore: decorator
@inline
export function entry(table: usize, mask: u32): v128 {
  return v128.load(table + (<usize>mask << 4));
}

function gather(table: usize, mask: u32, lane: u32, rank: u32, width: u32): void {
  for (let i: u32 = 0; i < width; i++) store<u8>(table + (mask << 4) + rank * width + i, 4 * lane + i);
}

function fill(): void {
  memory.fill(TABLES, NOTHING, 4 * TABLE_BYTES);
  memory.fill(LANES, 0, TABLE_BYTES);
  for (let mask: u32 = 0; mask < 16; mask++) {
    let rank: u32 = 0;
    for (let lane: u32 = 0; lane < 4; lane++) {
      if (((mask >> lane) & 1) == 0) continue;
      gather(GATHER_WORDS, mask, lane, rank, 4);
      gather(GATHER_HALVES, mask, lane, rank, 2);
      gather(GATHER_BYTES, mask, lane, rank, 1);
      for (let i: u32 = 0; i < 4; i++) store<u8>(SPREAD + (mask << 4) + 4 * lane + i, 4 * rank + i);
      store<u32>(LANES + (mask << 4) + 4 * lane, 0xffffffff);
      rank++;
    }
  }
}

// When the module is instantiated.
fill();
