/** The ranges of a POSTCOPY_RAM_DISCARD command: pages that the target throws away, because they will come again. */
import { Cursor } from "./bytes.ts";
import type { RamBlock } from "./types.ts";

export interface Discard {
  readonly block: RamBlock;
  /** Bytes in the block, multiples of 4096. */
  readonly ranges: readonly { readonly offset: number; readonly bytes: number }[];
}

/**
 * @param payload  of a command that the stream reader has passed: its ranges lie in the block
 * @param blocks  of this stream
 * @returns undefined when the block is not one of them (the reader refuses such a command)
 */
export function decodeDiscard(payload: Uint8Array, blocks: readonly RamBlock[]): Discard | undefined {
  const cursor = new Cursor(payload, 0, payload.length);
  cursor.u8(); // version
  const name = cursor.name();
  cursor.u8(); // the name's end
  const block = blocks.find((known) => known.name === name);
  if (block === undefined) return undefined;
  const ranges = Array.from({ length: (payload.length - cursor.at) / 16 }, () => ({
    offset: cursor.u64(),
    bytes: cursor.u64(),
  }));
  return { block, ranges };
}
