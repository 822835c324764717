import type { EngineFigures, HashedPage } from "../../pages/mod.ts";
import type { PagingFigures } from "../../paging/mod.ts";
import type { Barrier, PageKind, RamBlock } from "../../stream/mod.ts";

/**
 * What stands between the source's stream and the link: decides for each version of a page whether it crosses, when and in
 * what form. It sends through `Outgoing`, in order with everything else.
 */
export interface SourceEngine {
  /** What the target keeps at most of a page store. Before the first block list. */
  agree(targetCacheBytes: number): void;
  /** The guest's blocks, once, before the first page. */
  setBlocks(blocks: readonly RamBlock[]): void;
  /** A version of a page; `records` follows for the run that it belongs to. */
  page(block: RamBlock, offset: number, kind: PageKind): void;
  /** For whoever hashes the pages (`PageHasher`): they are told in order, before `records` has returned. undefined: no need. */
  readonly hashed: HashedPage | undefined;
  /** The run of records whose pages have just been told. See StreamHandler.records. */
  records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void;
  /** Bytes that are no page come next: what was told before them leaves before them. */
  flush(): void;
  /** As `flush`, and nothing is held back any more. */
  barrier(barrier: Barrier): void;
  /**
   * Post-copy was ordered: pages wait for it from now on, as long as `gathers` says; none where QEMU will serve it itself.
   */
  gather(): void;
  /** Whether the pages of the run that comes next wait for post-copy: they are told to `gathered`, and to nobody else. */
  readonly gathers: boolean;
  /** @param address  of its bytes in the kernels' memory; 0: zeros */
  gathered(block: RamBlock, offset: number, address: number): void;
  /** The digest of the barrier `package` was taken: pages that wait count from now on. */
  serve(): void;
  /** Before the first page of post-copy: the target throws these pages away, and QEMU will give them again. */
  discarded(block: RamBlock, offset: number, bytes: number): void;
  /** Post-copy: the target QEMU has loaded the package. */
  packageLoaded(): void;
  /**
   * Post-copy: the guest waits for this page.
   * @returns whether that is seen to; false: the source QEMU is to be asked
   */
  request(block: RamBlock, offset: number): boolean;
  /** Whether what comes behind the last page of post-copy has to wait, because pages wait here; `settled` tells the end. */
  readonly serving: boolean;
  /** Pages that the target lacks a base for. Throws GodwitError BASE_LOST, LINK_FRAME. */
  again(pages: readonly number[]): void;
  /** Whether more of QEMU's stream may be read. */
  readonly hasRoom: boolean;
  /** Content that waits in the engine, as it would cross. */
  readonly heldBytes: number;
  /** null when no page was its business. */
  figures(): EngineFigures | null;
  /** null when QEMU serves post-copy itself, or there is none. */
  paging(): PagingFigures | null;
  /** The migration is over: memory that the engine keeps is given back. After `Outgoing.ended`. */
  close(): void;
}
