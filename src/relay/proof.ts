import { PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { type DigestTotal, type HashedPage, PageDigest, PageHasher, zeroPageHash } from "../pages/mod.ts";
import { PageKind, type RamBlock } from "../stream/mod.ts";

/**
 * One end's half of the proof that memory arrived whole: the digest of the newest version of each page.
 * Pages are hashed where they lie, so their bytes must be in the kernels' memory and stay there until `settle`.
 */
export class MemoryProof {
  readonly #kernels: PageKernels;
  readonly #seed: { readonly low: number; readonly high: number };
  readonly #hashed: HashedPage | undefined;
  #digest: PageDigest | undefined;
  #hasher: PageHasher | undefined;

  /**
   * @param seed  two u32 chosen by the source for this migration, so that no guest can prepare a collision
   * @param hashed  also told of each plain or zero version
   */
  constructor(
    kernels: PageKernels,
    seed: { readonly low: number; readonly high: number },
    hashed?: HashedPage,
  ) {
    this.#kernels = kernels;
    this.#seed = seed;
    this.#hashed = hashed;
  }

  /** Once, before the first page. The kernels are seeded here and not before: a connection may turn out to be a stranger's. */
  setBlocks(blocks: readonly RamBlock[]): void {
    this.#kernels.seed(this.#seed.low, this.#seed.high);
    this.#digest = new PageDigest(zeroPageHash(this.#kernels));
    this.#digest.setBlocks(blocks);
    this.#hasher = new PageHasher(this.#kernels, this.#digest, this.#hashed);
  }

  /** A version of a page; the arguments are those of StreamHandler.page. */
  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    const hasher = this.#hasher;
    if (hasher === undefined) throw new Error("no page comes before the blocks are known");
    if (kind === PageKind.page) hasher.page(block, offset, buffer.byteOffset + start);
    else if (kind === PageKind.zero) hasher.zero(block, offset);
    else hasher.encoded(block, offset, buffer.byteOffset + start, end - start);
  }

  /** A version that lies in the kernels' memory. @param address  0: zeros */
  told(block: RamBlock, offset: number, address: number): void {
    const kind = address === 0 ? PageKind.zero : PageKind.page;
    this.page(block, offset, kind, this.#kernels.bytes, address, address + PAGE_BYTES);
  }

  /** A version that it was told of does not cross yet. @param oldLo  half of the hash of the one before (`HashedPage`) */
  untold(block: RamBlock, offset: number, oldLo: number, oldHi: number): void {
    this.settle();
    this.#digest?.restore(block.index, offset / PAGE_BYTES, oldLo, oldHi);
  }

  /** Hashes whatever was told and not hashed yet. Before any memory of told pages is reused. */
  settle(): void {
    this.#hasher?.flush();
  }

  /** The digest of everything told so far. */
  total(): DigestTotal {
    this.#hasher?.flush();
    return this.#digest?.total() ?? { lo: 0, hi: 0, pages: 0, versions: 0 };
  }
}
