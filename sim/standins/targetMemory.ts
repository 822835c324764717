/** In the place of src/relay/targetMemory.ts: the same regions, small ones. */
import { Arena } from "../../src/link/mod.ts";
import type { TargetMemory } from "../../src/relay/targetMemory.ts";
import { PAGES_OUTPUT_BYTES_MAX } from "../../src/wire/mod.ts";
import { loadKernels, RELAY_BYTES } from "./kernels.ts";

const CHUNK_BYTES = 288 * 1024;
const LINK_BYTES = 4 * CHUNK_BYTES;
const OUTPUT_CHUNK_BYTES = Math.ceil(PAGES_OUTPUT_BYTES_MAX / 4096) * 4096;
const OUTPUT_BYTES = 2 * OUTPUT_CHUNK_BYTES;
const BODY_BYTES = 192 * 1024;
const STORE_BYTES = 512 * 1024;

export function layTargetMemory(pageCacheBytes: number): TargetMemory {
  const kernels = loadKernels({ memoryBytes: RELAY_BYTES });
  const linkStart = kernels.freeStart;
  const outputStart = linkStart + LINK_BYTES;
  const bodyAt = outputStart + OUTPUT_BYTES;
  return {
    kernels,
    linkArena: new Arena(kernels.bytes, CHUNK_BYTES, { start: linkStart, end: outputStart }),
    outputArena: new Arena(kernels.bytes, OUTPUT_CHUNK_BYTES, { start: outputStart, end: bodyAt }),
    bodyAt,
    store: { start: bodyAt + BODY_BYTES, bytes: Math.min(pageCacheBytes, STORE_BYTES) },
  };
}
