import { type RamBlock, RamFlag } from "../stream/mod.ts";

/**
 * Writes the heads of QEMU's RAM records as `putRecordHead` does, for zero and whole pages only, and without an object
 * per page.
 */
export class RecordHeads {
  /** The block of the last record that QEMU was given; the next one of it says CONTINUE instead of its name. */
  last: RamBlock | undefined;
  readonly #bytes: Uint8Array;
  /** By index of the block: the length of its name, and the name. */
  readonly #names: Uint8Array[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @returns where the record's body begins: 1 fill byte or 4096 bytes */
  put(at: number, block: RamBlock, offset: number, flag: typeof RamFlag.zero | typeof RamFlag.page): number {
    const bytes = this.#bytes;
    const continues = block === this.last;
    const high = Math.floor(offset / 2 ** 32);
    const low = (offset % 2 ** 32) + flag + (continues ? RamFlag.continue : 0);
    bytes[at] = high >>> 24;
    bytes[at + 1] = high >>> 16;
    bytes[at + 2] = high >>> 8;
    bytes[at + 3] = high;
    bytes[at + 4] = low >>> 24;
    bytes[at + 5] = low >>> 16;
    bytes[at + 6] = low >>> 8;
    bytes[at + 7] = low;
    if (continues) return at + 8;
    this.last = block;
    const name = this.#nameOf(block);
    bytes.set(name, at + 8);
    return at + 8 + name.length;
  }

  #nameOf(block: RamBlock): Uint8Array {
    const known = this.#names[block.index];
    if (known !== undefined) return known;
    const name = Uint8Array.from([block.name.length, ...[...block.name].map((c) => c.charCodeAt(0))]);
    this.#names[block.index] = name;
    return name;
  }
}
