/** What agents say to each other under /peer/v1. Plain JSON over HTTP; every answer is checked like a stranger's. */
import { z } from "zod";
import { SOURCE_EDGES, type SourcePhase, TARGET_EDGES, type TargetPhase } from "../../migration/mod.ts";
import { resolvedSpecSchema } from "../../qemu/mod.ts";
import { PAGE_CACHE_BYTES_MAX } from "../limits.ts";

const id = z.string().regex(/^[\w-]{1,64}$/);

/** POST /peer/v1/migrations */
export const prepareSchema = z.strictObject({
  id,
  sourceHost: z.string().max(255),
  /** One-time word that the source relay shows to the target relay. */
  ticket: z.string().max(128),
  spec: resolvedSpecSchema,
  /** The capability postcopy-ram must be set on both sides. */
  postcopy: z.boolean(),
  /** What the source's relay may take for its page store: the target's takes no more. */
  pageCacheBytes: z.int().min(0).max(PAGE_CACHE_BYTES_MAX),
  /** Post-copy: how long the target's relay awaits a lost link; 0: without end. */
  postcopyReconnectForMs: z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
  /** Of the guest's balloon: what it gets back once it runs there (null: nothing), and its mode. */
  balloon: z.strictObject({ sizeBytes: z.int().min(1).nullable(), auto: z.boolean() }),
  qemuVersion: z.string().max(64),
  /** HOST:PORT where the source's agent can be asked; none: it takes no VMs itself. */
  sourcePeer: z
    .string()
    .regex(/^(\[[0-9a-fA-F:]+\]|[^\s:[\]]{1,253}):\d{1,5}$/)
    .nullable()
    .optional(),
});
export type PrepareOrder = z.output<typeof prepareSchema> & {
  /** The host that ordered it, by its certificate; no peer can say it itself. */
  readonly by?: string | null;
};

export const preparedSchema = z.object({
  host: z.string(),
  qemuVersion: z.string(),
  /** HOST:PORT of the target relay; the source takes the port, and the host from its own order. */
  relayAddress: z.string(),
});
export type Prepared = z.output<typeof preparedSchema>;

export const idSchema = z.object({ id });

const errorSchema = z.object({
  code: z.string(),
  fields: z.record(z.string(), z.unknown()),
  message: z.string(),
});

/** POST /peer/v1/migrations/:id/discard */
export const discardSchema = z.strictObject({ error: errorSchema });

const phases = Object.keys(TARGET_EDGES) as [TargetPhase, ...TargetPhase[]];

const sourcePhases = Object.keys(SOURCE_EDGES) as [SourcePhase, ...SourcePhase[]];

/** GET /peer/v1/migrations/:id/seen and /peer/v1/departures/:id/seen: evidence for a recovery. */
export const seenSchema = z.object({
  host: z.string().max(255),
  phase: z
    .enum([...phases, ...sourcePhases])
    .nullable()
    .describe("null: it knows nothing of the migration"),
  since: z.string().max(64).nullable(),
  qemu: z
    .object({
      running: z.boolean(),
      status: z.string().max(64).nullable().describe("null: its monitor does not answer"),
      migration: z.string().max(64).nullable(),
    })
    .nullable()
    .describe("null: there is no QEMU of this VM"),
});

/** POST /peer/v1/migrations/:id/recover */
export const recoverSchema = z.strictObject({
  /** As in the order to prepare, for the new relay. */
  ticket: z.string().max(128),
});

/** Answer to commit, discard and GET. The arbiter's word, and why it gave up, if it did. */
export const answerSchema = z.object({ phase: z.enum(phases), error: errorSchema.nullable().default(null) });
export type Answer = z.output<typeof answerSchema>;

/** Answer to recover: where the new relay is; null: there is nothing to recover in this phase. */
export const recoveredSchema = answerSchema.extend({ relayAddress: z.string().nullable() });
export type Recovered = z.output<typeof recoveredSchema>;

/** GET /peer/v1/migrations/:id/facts: for the report. Times by the target's wall clock. */
export const factsSchema = z.object({
  phase: z.enum(phases),
  /** QEMU's RESUME event; null before. */
  resumedAtMs: z.number().nullable(),
  /** When the guest's heartbeats were read there; null where none are watched. */
  beatsAtMs: z.array(z.number()).nullable(),
  cpuMs: z.number().nullable(),
  rssBytes: z.number().nullable(),
});
export type TargetFacts = z.output<typeof factsSchema>;

/** GET /peer/v1/clock */
export const clockSchema = z.object({ wallMs: z.number() });
