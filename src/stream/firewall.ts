/** What a stream of a peer may not do beside the grammar: the counts and sums that a reader keeps when it guards a QEMU. */
import { be32, Cursor } from "./bytes.ts";
import { decodeDiscard } from "./discard.ts";
import { Command } from "./format.ts";
import type { StreamRule } from "./rules.ts";
import type { RamBlock } from "./types.ts";

export interface FirewallOptions {
  /** Of all announced blocks together; tables are allocated by what is announced. */
  readonly ramBytesMax: number;
  /** Of the device sections, or of the package that they come in. */
  readonly deviceBytesMax: number;
  /** What cannot be checked (other live sections than ram, early device sections) passes all the same. */
  readonly passUnchecked: boolean;
  /** Device sections in the order of an earlier stream of the same machine (`StreamReader.devices`). */
  readonly knownDevices?: readonly string[] | undefined;
}

/**
 * Each makes QEMU answer, and the answers wait for a peer that need not read them. QEMU sends four, and two more for each
 * recovery of a post-copy, which comes on a stream of its own.
 */
const PINGS_MAX = 64;
/** A few bytes can discard all of memory. QEMU discards each page once. */
const DISCARDS_OF_A_PAGE = 2;

export class CommandLimits {
  #pings = 0;
  #opened = false;
  #discardedBytes = 0;
  readonly #asked = new Set<string>();

  /**
   * A command that the grammar allows.
   * @returns the first broken rule, or undefined
   */
  judge(command: number, payload: Uint8Array, blocks: readonly RamBlock[]): StreamRule | undefined {
    switch (command) {
      case Command.openReturnPath:
        if (this.#opened) return "return_path_twice";
        this.#opened = true;
        return undefined;
      case Command.ping:
        return ++this.#pings > PINGS_MAX ? "pings_too_many" : undefined;
      case Command.recvBitmap: {
        const name = new Cursor(payload, 0, payload.length).name();
        if (this.#asked.has(name)) return "bitmap_asked_twice";
        this.#asked.add(name);
        return undefined;
      }
      case Command.postcopyRamDiscard: {
        for (const { bytes } of decodeDiscard(payload, blocks)?.ranges ?? []) this.#discardedBytes += bytes;
        const ramBytes = blocks.reduce((sum, block) => sum + block.bytes, 0);
        return this.#discardedBytes > DISCARDS_OF_A_PAGE * ramBytes ? "discard_total" : undefined;
      }
      default:
        return undefined;
    }
  }
}

/** What a PING carries, and the PONG that answers it. */
export function pingValue(payload: Uint8Array): number {
  return be32(payload, 0);
}
