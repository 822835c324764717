import { loadKernels, MEMORY_BYTES_MAX, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { Arena } from "../link/mod.ts";
import type { StoreRegion } from "../pages/mod.ts";
import { PAGES_BODY_BYTES_MAX } from "../wire/mod.ts";

const KIB = 1024;
const MIB = 2 ** 20;
const CHUNK_BYTES = MIB;
/** What may be in flight from the source, and a little to read into meanwhile. */
const LINK_ARENA_BYTES = 12 * MIB;
/** One chunk per `pages` frame whose records QEMU's socket has not taken. Of most chunks an eighth is ever touched. */
const OUTPUT_ARENA_BYTES = 8 * MIB;
/** The entries of one packed frame, while they are decoded. A little more: kernels read whole vectors. */
const BODY_BYTES = Math.ceil((PAGES_BODY_BYTES_MAX + KIB) / (64 * KIB)) * 64 * KIB;
const SCRATCH_BYTES = 64 * KIB;
const OTHER_BYTES = SCRATCH_BYTES + LINK_ARENA_BYTES + OUTPUT_ARENA_BYTES + BODY_BYTES;

/** The most that a page store of this relay can have. */
export const STORE_BYTES_MAX = MEMORY_BYTES_MAX - OTHER_BYTES;

/**
 * Where things lie in the kernels' memory of a target relay. The system gives memory only as it is touched, so a store
 * costs what it holds.
 */
export interface TargetMemory {
  readonly kernels: PageKernels;
  /** What the link's sockets read into. */
  readonly linkArena: Arena;
  /** For QEMU's records that are made from `pages` frames. */
  readonly outputArena: Arena;
  /** Where the entries of a packed frame are put. */
  readonly bodyAt: number;
  /** For the page store; its bytes are the most that this side can agree to. */
  readonly store: StoreRegion;
}

/** @param pageCacheBytes  as configured; cut to what the memory can hold. @throws GodwitError KERNELS_MISSING */
export function layTargetMemory(pageCacheBytes: number): TargetMemory {
  const storeBytes = Math.min(Math.floor(pageCacheBytes / PAGE_BYTES) * PAGE_BYTES, STORE_BYTES_MAX);
  const kernels = loadKernels({ memoryBytes: OTHER_BYTES + storeBytes });
  const linkStart = kernels.freeStart;
  const outputStart = linkStart + LINK_ARENA_BYTES;
  const bodyAt = outputStart + OUTPUT_ARENA_BYTES;
  return {
    kernels,
    linkArena: new Arena(kernels.bytes, CHUNK_BYTES, { start: linkStart, end: outputStart }),
    outputArena: new Arena(kernels.bytes, CHUNK_BYTES, { start: outputStart, end: bodyAt }),
    bodyAt,
    store: { start: bodyAt + BODY_BYTES, bytes: storeBytes },
  };
}
