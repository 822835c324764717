import { BATCH_PAGES_MAX, PAGE_BYTES, type PageKernels } from "../../kernels/types.ts";
import type { RamBlock } from "../stream/mod.ts";
import type { Hash64, PageDigest } from "./digest.ts";

const ZERO = 0;
const PAGE = 1;

/** The seeded hash of a page of zeros, for a digest. Call after `kernels.seed`. */
export function zeroPageHash(kernels: PageKernels): Hash64 {
  kernels.addresses[0] = kernels.zeroPage;
  kernels.hashPages(1);
  return { lo: kernels.hashes[0]!, hi: kernels.hashes[1]! };
}

/**
 * A version that has just been hashed, in the order in which they were told.
 * @param address  of its content; 0: zeros, and both halves are 0
 * @param oldLo  half of the hash of the version before, for `PageDigest.restore`
 */
export type HashedPage = (address: number, lo: number, hi: number, oldLo: number, oldHi: number) => void;

/**
 * Feeds a digest with page versions in the order in which they are told, hashing whole pages in batches: one call into
 * the kernel for up to BATCH_PAGES_MAX of them. Pages are hashed where they lie, so `flush` must be called before the
 * memory of any told page is reused, and before the digest's total is read.
 * The kernels' scratch arrays are used from the first page told until the flush: one hasher per kernels.
 */
export class PageHasher {
  readonly #kernels: PageKernels;
  readonly #digest: PageDigest;
  readonly #blockOf = new Uint32Array(BATCH_PAGES_MAX);
  readonly #pageOf = new Uint32Array(BATCH_PAGES_MAX);
  readonly #kindOf = new Uint8Array(BATCH_PAGES_MAX);
  readonly #hashed: HashedPage | undefined;
  /** Versions told since the last flush, and how many of them the kernel has to hash. */
  #told = 0;
  #toHash = 0;

  /** @param hashed  also told of each plain or zero version: one hash serves whoever else needs it */
  constructor(kernels: PageKernels, digest: PageDigest, hashed?: HashedPage) {
    this.#kernels = kernels;
    this.#digest = digest;
    this.#hashed = hashed;
  }

  /**
   * A version given by its 4096 bytes.
   * @param offset  bytes in the block, a multiple of 4096
   * @param address  of the bytes in the kernels' memory; need not be aligned
   */
  page(block: RamBlock, offset: number, address: number): void {
    this.#kernels.addresses[this.#toHash++] = address;
    this.#tell(block.index, offset, PAGE);
  }

  /** A version that is all zeros. */
  zero(block: RamBlock, offset: number): void {
    this.#tell(block.index, offset, ZERO);
  }

  /** A version given by an encoded body, whose bytes are hashed at once; also any odd thing, like a page of another fill. */
  encoded(block: RamBlock, offset: number, address: number, length: number): void {
    this.flush();
    this.#kernels.hashRange(address, length);
    const { hashes } = this.#kernels;
    this.#digest.updateEncoded(block.index, pageIndex(offset), hashes[0]!, hashes[1]!);
  }

  /** Everything told so far is in the digest afterwards. Cheap when nothing is waiting. */
  flush(): void {
    const told = this.#told;
    if (told === 0) return;
    const toHash = this.#toHash;
    // Reset first: if the kernel traps or an update throws, nothing is counted twice.
    this.#told = 0;
    this.#toHash = 0;
    this.#kernels.hashPages(toHash);
    const { hashes, addresses } = this.#kernels;
    const hashed = this.#hashed;
    const digest = this.#digest;
    let at = 0;
    for (let i = 0; i < told; i++) {
      if (this.#kindOf[i] === ZERO) {
        digest.updateZero(this.#blockOf[i]!, this.#pageOf[i]!);
        hashed?.(0, 0, 0, digest.oldLo, digest.oldHi);
      } else {
        digest.update(this.#blockOf[i]!, this.#pageOf[i]!, hashes[at]!, hashes[at + 1]!);
        hashed?.(addresses[at >> 1]!, hashes[at]!, hashes[at + 1]!, digest.oldLo, digest.oldHi);
        at += 2;
      }
    }
  }

  #tell(blockIndex: number, offset: number, kind: number): void {
    const at = this.#told++;
    this.#blockOf[at] = blockIndex;
    this.#pageOf[at] = pageIndex(offset);
    this.#kindOf[at] = kind;
    if (this.#told === BATCH_PAGES_MAX) this.flush();
  }
}

/** By division: a shift would cut offsets of 4 GiB and more. */
function pageIndex(offset: number): number {
  return offset / PAGE_BYTES;
}
