import type { PageKernels } from "../../kernels/mod.ts";
import { type DigestTotal, PageDigest, PageHasher, zeroPageHash } from "../pages/mod.ts";
import { PageKind, type RamBlock } from "../stream/mod.ts";

/**
 * One end's half of the proof that memory arrived whole: the digest of the newest version of each page.
 * Pages are hashed where they lie, so their bytes must be in the kernels' memory and stay there until `settle`.
 */
export class MemoryProof {
  readonly #digest: PageDigest;
  readonly #hasher: PageHasher;

  /** @param seed  two u32 chosen by the source for this migration, so that no guest can prepare a collision */
  constructor(kernels: PageKernels, seed: { readonly low: number; readonly high: number }) {
    kernels.seed(seed.low, seed.high);
    this.#digest = new PageDigest(zeroPageHash(kernels));
    this.#hasher = new PageHasher(kernels, this.#digest);
  }

  setBlocks(blocks: readonly RamBlock[]): void {
    this.#digest.setBlocks(blocks);
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
    if (kind === PageKind.page) this.#hasher.page(block, offset, buffer.byteOffset + start);
    else if (kind === PageKind.zero) this.#hasher.zero(block, offset);
    else this.#hasher.encoded(block, offset, buffer.byteOffset + start, end - start);
  }

  /** Hashes whatever was told and not hashed yet. Before any memory of told pages is reused. */
  settle(): void {
    this.#hasher.flush();
  }

  /** The digest of everything told so far. */
  total(): DigestTotal {
    this.#hasher.flush();
    return this.#digest.total();
  }
}
