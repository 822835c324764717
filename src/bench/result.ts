/**
 * One result of the bench, as it is kept in bench/results: every sample of one run with all that is needed to repeat
 * it. A figure that could not be measured is null, never a guess; a move that failed is a sample like any other.
 */
import { z } from "zod";
import { GodwitError } from "../errors/mod.ts";

export const RESULT_FORMAT = "godwit-bench/1";

const ms = z.number();
const bytes = z.number().int().nonnegative();
const bothWays = z.object({ forward: bytes, backward: bytes });
const bothHosts = z.object({ source: z.number(), target: z.number() });

/** What lies between the two hosts. The shaper makes it, alike for every system. */
const linkShape = z.object({
  /** Of each direction on its own; null is loopback or veth as it is. */
  bytesPerSec: z.number().positive().nullable(),
  /** One way. */
  latencyMs: z.number().nonnegative(),
  /** The one-way latency of a piece of data is evenly spread over latencyMs ± jitterMs; order is kept. */
  jitterMs: z.number().nonnegative(),
});

/** What a curve is drawn against. `x` of a cell's factor is in the unit named here. */
export const FACTORS = {
  dirtyRate: "pages/s",
  linkRate: "bytes/s",
  ram: "MiB",
  guests: "guests at once",
} as const;
export type Factor = keyof typeof FACTORS;

/** The least that has to cross for a cell's guest as it stood still before its first move. An upper bound of it. */
const floor = z.object({
  /** Of all guests of the cell together. */
  memoryBytes: bytes,
  nonzeroPages: z.number().int().nonnegative(),
  /** Different contents among them. */
  distinctPages: z.number().int().nonnegative(),
  /** Those contents, packed once by zstd at its highest ordinary level with a window over all of them. */
  packedBytes: bytes,
  /** What those bytes take on the cell's link; null where it has no rate. */
  linkMs: ms.nullable(),
});

/** One piece of work that every system has to do: guest, what runs in it, link. */
const cell = z.object({
  name: z.string(),
  /** One sentence for people. */
  about: z.string(),
  /** Which load runs in the guest, by its name in bench/loads. */
  load: z.string(),
  memoryMib: z.number().int().positive(),
  cpus: z.number().int().positive(),
  /** The oracle's own writer, which runs beside every load. */
  workload: z.object({
    setMib: z.number().int().positive(),
    pagesPerSec: z.number().int().nonnegative(),
    mode: z.string(),
    /** So many percent of the set take 90 % of the writes; absent: all pages alike. */
    hotPercent: z.number().int().positive().optional(),
  }),
  /** Memory that oracle and load together work on, MiB; absent: the oracle's set alone. */
  workingMib: z.number().int().positive().optional(),
  /** Before each move the guest fills and frees memory, and fills its page cache; it has a balloon with hints. */
  freeable: z
    .object({ freedMib: z.number().int().nonnegative(), cachedMib: z.number().int().nonnegative() })
    .optional(),
  link: linkShape,
  /** Guests that move at the same time. Figures of such a sample: times are of the last one, the rest is summed. */
  guests: z.number().int().positive(),
  /** A move that takes longer is cancelled and counts as failed. */
  timeLimitMs: ms,
  /** A client's window of 100 ms in which the worst request took longer than this counts as missed. */
  slaLimitMs: ms,
  /** On which curve this cell is a point; null: a cell of its own. */
  factor: z.object({ name: z.enum(Object.keys(FACTORS) as [Factor, ...Factor[]]), x: z.number() }).nullable(),
  /** Only where it was asked for (--floor). */
  floor: floor.optional(),
});

/** What the client (or a load inside the guest that reports its work) saw during one span of time. */
const clientPhase = z.object({
  durationMs: ms,
  /** Requests, transactions, compiled files: whatever the load counts. */
  operations: z.number().int().nonnegative(),
  perSec: z.number().nonnegative(),
  /** null where nothing was done in the span. */
  latencyMs: z.object({ p50: ms, p95: ms, p99: ms, max: ms }).nullable(),
});

const clientFigures = z.object({
  /** What one operation is, such as "GET or SET". */
  unit: z.string(),
  before: clientPhase,
  /** From the order until the source could be thrown away. */
  during: clientPhase,
  after: clientPhase,
  /** 1 - during.perSec / before.perSec; negative when it got faster. null when nothing was done before. */
  throughputLoss: z.number().nullable(),
  /** Longest time in which no operation ended, from the order until the end of `after`. */
  longestStallMs: ms,
  /** null where there are no requests or connections: the load runs inside the guest. */
  requestsLost: z.number().int().nonnegative().nullable(),
  connectionsLost: z.number().int().nonnegative().nullable(),
  slaWindows: z.object({ missed: z.number().int().nonnegative(), of: z.number().int().nonnegative() }),
});

const timelinePoint = z.object({
  /** From the order. */
  atMs: ms,
  /** Bytes on the wire so far. */
  wireBytes: bytes,
  remainingBytes: bytes.nullable(),
  dirtyPagesPerSec: z.number().nullable(),
  passes: z.number().int().nullable(),
  /** The system's own word for where it is. */
  phase: z.string(),
});

const formFigures = z.object({ pages: z.number().nonnegative(), bytes: z.number().nonnegative() });
const count = z.number().nonnegative();

/** What Godwit's page engine did: `EngineFigures` of src/pages, as its report has them. */
const engineFigures = z.object({
  name: z.string(),
  policy: z.string(),
  cacheBytes: count,
  forms: z.record(z.string(), formFigures),
  packed: z.object({ batches: count, unpackedBytes: count, bytes: count }),
  unchanged: count,
  superseded: count,
  passed: count,
  repaired: count,
  stageMs: z.record(z.string(), z.number().nullable()),
  effort: z.number(),
});

/** What Godwit's pager did in post-copy: `PagingFigures` of src/paging, as its report has them. */
const pagingFigures = z.object({
  order: z.string(),
  outstanding: count,
  // Absent in results of before.
  gathered: count.optional(),
  answered: count,
  pushed: count,
  late: count,
  passedOn: count,
  drainMs: ms.nullable(),
  poolBytesMax: bytes,
  faultTimes: z
    .object({
      count,
      p50Ms: ms,
      p95Ms: ms,
      p99Ms: ms,
      maxMs: ms,
      buckets: z.array(z.object({ toMs: ms.nullable(), count })).readonly(),
    })
    .nullable(),
});

/** How the end of pre-copy was decided: `SwitchoverFacts` of src/migration; of stock QEMU the rule alone. */
const switchoverFacts = z.object({
  rule: z.string().nullable(),
  decisions: z
    .array(
      z.object({
        atMs: ms,
        rule: z.string(),
        pass: z.number(),
        expectedDowntimeMs: ms.nullable(),
      }),
    )
    .readonly(),
});

/** What one move cost (Strunk 2012; Voorsluys 2009), measured alike for every system. */
const ledger = z.object({
  /** From the order until the source could be thrown away; the start of the target's QEMU included, for all alike. */
  totalTimeMs: ms.nullable(),
  /** The part of it from QEMU's `migrate` on: what the literature calls total time. */
  migrateTimeMs: ms.nullable(),
  downtimeMs: ms.nullable(),
  /** Longest gap between two heartbeats of the guest from the order until well after the end. */
  blackoutMs: ms.nullable(),
  /** Longest time without a heartbeat from the target's RESUME on, its first one included. Absent: not measured then. */
  gapAfterResumeMs: ms.nullable().optional(),
  passes: z.number().int().nullable(),
  /** Counted by the shaper. */
  wireBytes: bothWays,
  /** The kernel's counters of the interface between the hosts over the same time; null without namespaces. */
  interfaceBytes: bothWays.nullable(),
  /** What the source QEMU says it wrote. */
  streamBytes: bytes.nullable(),
  pages: z.object({ sent: z.number(), zero: z.number() }).nullable(),
  /** CPU time of all processes of a host that the move needs: QEMU without its vCPUs, relay, agent. */
  cpuMs: bothHosts,
  /** CPU time of the guest's vCPUs on both hosts, over the move. */
  guestCpuMs: ms.nullable(),
  /** Peak resident set of what is there besides QEMU: relay and agent. 0 where there is nothing. */
  extraRssBytes: bothHosts,
  /** By the model named; rapl where the machine has it, else a stated power per busy core. */
  energyJoules: z.object({ model: z.enum(["rapl", "cpu-time"]), joules: z.number() }),
  /** null: the cell's load has no client. */
  client: clientFigures.nullable(),
  /** Of the guest that came last; absent or null: the system has no engine, or its figures are not known. */
  engine: engineFigures.nullable().optional(),
  switchover: switchoverFacts.nullable().optional(),
  /** Pages that the target QEMU asked for in post-copy, those on their way already included. */
  requests: count.nullable().optional(),
  /** Of the guest that came last; null: no pager of ours. */
  paging: pagingFigures.nullable().optional(),
  timeline: z.array(timelinePoint),
});

const sample = z.object({
  cell: z.string(),
  system: z.string(),
  /** From 0. */
  repeat: z.number().int().nonnegative(),
  /** Place in the shuffled order of the whole run, from 0. */
  order: z.number().int().nonnegative(),
  startedAt: z.iso.datetime(),
  /** `failed`: the move was not completed, or the guest was damaged. Figures are of what there was. */
  outcome: z.enum(["completed", "failed"]),
  /** Why it failed; null when completed. */
  error: z.string().nullable(),
  /** The guest verified its whole working set after the move. null: it could not be waited for. */
  oracleClean: z.boolean().nullable(),
  /** Digest proof, for systems that have one. */
  equal: z.boolean().nullable(),
  ledger,
});

const systemInfo = z.object({
  name: z.string(),
  /** One sentence: what it is and how it is set. */
  about: z.string(),
  family: z.enum(["stock", "godwit"]),
});

const result = z.object({
  format: z.literal(RESULT_FORMAT),
  startedAt: z.iso.datetime(),
  durationMs: ms,
  commit: z.string(),
  /** The checkout had changes that were not committed. */
  dirty: z.boolean(),
  command: z.string(),
  seed: z.number().int(),
  repeats: z.number().int().positive(),
  machine: z.object({
    processor: z.string(),
    cores: z.number().int().positive(),
    memoryBytes: bytes,
    kernel: z.string(),
    node: z.string(),
    accel: z.enum(["kvm", "tcg"]),
    loadAverage: z.array(z.number()),
  }),
  qemu: z.string(),
  cells: z.array(cell),
  systems: z.array(systemInfo),
  /** What was asked for and not run, with the reason. `cell` null: in all cells. */
  skipped: z.array(z.object({ system: z.string(), cell: z.string().nullable(), reason: z.string() })),
  samples: z.array(sample),
  /** The run was interrupted: what it has is true, and not all that was asked for. */
  interrupted: z.boolean(),
});

export type LinkShape = z.output<typeof linkShape>;
export type Cell = z.output<typeof cell>;
export type Floor = z.output<typeof floor>;
export type PagingWork = z.output<typeof pagingFigures>;
export type EngineWork = z.output<typeof engineFigures>;
export type ClientPhase = z.output<typeof clientPhase>;
export type ClientFigures = z.output<typeof clientFigures>;
export type TimelinePoint = z.output<typeof timelinePoint>;
export type Ledger = z.output<typeof ledger>;
export type Sample = z.output<typeof sample>;
export type SystemInfo = z.output<typeof systemInfo>;
export type BenchResult = z.output<typeof result>;

/**
 * Checks what was read from a file.
 * @param source  what to call it in the error
 * @throws BENCH_RESULT_INVALID naming the field
 */
export function parseResult(input: unknown, source: string): BenchResult {
  const checked = result.safeParse(input);
  if (checked.success) return checked.data;
  const { path, message } = checked.error.issues[0]!;
  throw new GodwitError("BENCH_RESULT_INVALID", { source, problem: `${path.join(".") || "it"}: ${message}` });
}
