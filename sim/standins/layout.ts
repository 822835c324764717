/** In the place of src/relay/engine/layout.ts: the same regions, small ones. So the bounds are met here now and then. */
import { Arena } from "../../src/link/mod.ts";
import type { Engine, PolicyName } from "../../src/pages/mod.ts";
import type { SourceMemory } from "../../src/relay/engine/layout.ts";
import { PAYLOAD_BYTES_MAX } from "../../src/wire/mod.ts";
import { loadKernels, RELAY_BYTES } from "./kernels.ts";

export { policyOf } from "../../src/relay/engine/layout.ts";

const KIB = 1024;
/** Half of one must hold what is left unread: a frame. */
const CHUNK_BYTES = 288 * KIB;
const STREAM_BYTES = 4 * CHUNK_BYTES;
const LINK_BYTES = 2 * CHUNK_BYTES;
const BATCH_BYTES = 5 * PAYLOAD_BYTES_MAX;
const HOLD_BYTES = 24 * 4096;
const REST_BYTES = 512 * KIB;

export function sourceMemory(
  engine: Engine | undefined,
  _policy: PolicyName,
  cacheBytes: number,
  poolBytes = 0,
): SourceMemory {
  const kernels = loadKernels({ memoryBytes: RELAY_BYTES });
  let next = kernels.freeStart;
  const region = (bytes: number) => {
    const start = next;
    next += bytes;
    return { start, bytes };
  };
  const arena = (bytes: number, chunkBytes: number) => {
    const { start } = region(bytes);
    return new Arena(kernels.bytes, chunkBytes, { start, end: next });
  };
  const stream = arena(STREAM_BYTES, CHUNK_BYTES);
  const link = arena(LINK_BYTES, CHUNK_BYTES);
  const batches = engine === undefined ? undefined : arena(BATCH_BYTES, PAYLOAD_BYTES_MAX);
  const hold = region(engine === undefined ? 0 : HOLD_BYTES);
  const pool = region(engine === undefined ? 0 : Math.min(poolBytes, REST_BYTES));
  const store = region(engine === undefined ? 0 : Math.min(cacheBytes, REST_BYTES));
  return { kernels, stream, link, batches, hold, pool, store };
}
