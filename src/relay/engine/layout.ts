import { loadKernels, MEMORY_BYTES_MAX, PAGE_BYTES, type PageKernels } from "../../../kernels/mod.ts";
import { Arena } from "../../link/mod.ts";
import { type Engine, makePolicy, type PolicyName } from "../../pages/mod.ts";
import { PAYLOAD_BYTES_MAX } from "../../wire/mod.ts";

const MIB = 2 ** 20;
/** What may be in flight to the target as QEMU's records, and a little to read into meanwhile. */
const STREAM_BYTES = 12 * MIB;
const LINK_BYTES = 2 * MIB;
/** Bodies of batches: what may be in flight unpacked. */
const BATCH_BYTES = 8 * MIB;
/** Versions that a policy holds back. */
const HOLD_BYTES = 16 * MIB;
const CHUNK_BYTES = MIB;

interface Region {
  readonly start: number;
  readonly bytes: number;
}

/** The source relay's memory: all of it is the kernels' own, so that pages are never copied to be worked on. */
export interface SourceMemory {
  readonly kernels: PageKernels;
  /** QEMU's stream. */
  readonly stream: Arena;
  /** What the link receives. */
  readonly link: Arena;
  /** undefined without an engine. */
  readonly batches: Arena | undefined;
  readonly hold: Region;
  /** Of the pager; 0 bytes: QEMU serves post-copy itself. */
  readonly pool: Region;
  readonly store: Region;
}

/**
 * Allocates it once and for all: growing would detach what sockets read into. The system hands out memory only as it is
 * touched, so a store that is never filled costs nothing.
 *
 * @param engine  undefined: QEMU's records leave as they came, and there is nothing but the two arenas
 * @param cacheBytes  what the page store may take at most; less when the kernels' memory cannot be so large
 * @param poolBytes  what drained pages may take at most; they come before the store
 */
export function sourceMemory(
  engine: Engine | undefined,
  policy: PolicyName,
  cacheBytes: number,
  poolBytes = 0,
): SourceMemory {
  const plainBytes = 64 * 1024 + STREAM_BYTES + LINK_BYTES;
  const batchBytes = engine === undefined ? 0 : BATCH_BYTES;
  const holdBytes = engine !== undefined && holds(engine, policy) ? HOLD_BYTES : 0;
  const poolHas = engine === undefined ? 0 : whole(Math.min(poolBytes, MEMORY_BYTES_MAX / 2));
  const room = MEMORY_BYTES_MAX - plainBytes - batchBytes - holdBytes - poolHas;
  const storeBytes = engine !== undefined && storesPages(engine) ? whole(Math.min(cacheBytes, room)) : 0;
  const kernels = loadKernels({ memoryBytes: plainBytes + batchBytes + holdBytes + poolHas + storeBytes });

  let next = kernels.freeStart;
  const region = (bytes: number): Region => {
    const start = next;
    next += bytes;
    return { start, bytes };
  };
  const arena = (bytes: number, chunkBytes: number): Arena => {
    const { start } = region(bytes);
    return new Arena(kernels.bytes, chunkBytes, { start, end: next });
  };
  const stream = arena(STREAM_BYTES, CHUNK_BYTES);
  const link = arena(LINK_BYTES, CHUNK_BYTES / 2);
  const batches = batchBytes === 0 ? undefined : arena(batchBytes, PAYLOAD_BYTES_MAX);
  const [hold, pool, store] = [region(holdBytes), region(poolHas), region(storeBytes)];
  return { kernels, stream, link, batches, hold, pool, store };
}

/** The policy that is in force when this one was asked for. */
export function policyOf(engine: Engine, policy: PolicyName): Exclude<PolicyName, "auto"> {
  return policy === "auto" ? engine.policy : policy;
}

/** Whether it needs to know what the target has. */
function storesPages(engine: Engine): boolean {
  return engine.skipsUnchanged || engine.forms.has("same") || engine.forms.has("delta");
}

function holds(engine: Engine, policy: PolicyName): boolean {
  return makePolicy(policyOf(engine, policy), { totalPages: 1, slots: 1 }) !== undefined;
}

function whole(bytes: number): number {
  return Math.floor(bytes / PAGE_BYTES) * PAGE_BYTES;
}
