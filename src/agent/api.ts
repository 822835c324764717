/** The shapes of the agent's API. Migration routes use them too; the OpenAPI description is made from them. */
import { z } from "zod";
import { type OtherSeen, type SideSeen, STRATEGIES, TIMEOUT_ACTIONS } from "../migration/mod.ts";
import { ENGINE_NAMES, POLICY_NAMES } from "../pages/mod.ts";
import { PUSH_ORDERS } from "../paging/mod.ts";
import { VM_NAME } from "../qemu/mod.ts";
import { DOWNTIME_LIMIT_MS_MAX, PAGE_CACHE_BYTES_MAX, POOL_BYTES_MAX } from "./limits.ts";

const vmName = z.string().regex(VM_NAME);
/** Never a word of QEMU's for another kind of address, although a host might be called so. */
const address = z
  .string()
  .regex(
    /^(?!(exec|fd|file|rdma|tcp|unix|vsock):)(\[[0-9a-fA-F:.]+\]|[\w.-]{1,253}):\d{1,5}$/,
    "must be HOST:PORT",
  );

const orderFields = z.strictObject({
  vm: vmName.describe("name of a VM of this host"),
  to: address.describe("HOST:PORT of the target's agent (its --peer address)"),
  strategy: z.enum(STRATEGIES).default("precopy"),
  downtimeLimitMs: z
    .int()
    .min(1)
    .max(DOWNTIME_LIMIT_MS_MAX)
    .default(300)
    .describe("longest stop that is aimed for: pre-copy goes on until a stop is expected to fit"),
  downtimeLimitMaxMs: z
    .int()
    .min(0)
    .max(DOWNTIME_LIMIT_MS_MAX)
    .default(0)
    .describe("the limit may grow to this while pre-copy does not end; 0: it stays"),
  bandwidthBytesPerSec: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0).describe("0: no cap"),
  bandwidthMinBytesPerSec: z
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(0)
    .describe("the cap begins here and follows the guest's writing up to bandwidthBytesPerSec; 0: it stays"),
  engine: z.enum(ENGINE_NAMES).default("auto").describe("in which forms pages cross"),
  pagePolicy: z.enum(POLICY_NAMES).default("auto").describe("in which order pages leave; auto: the engine's"),
  pageCacheBytes: z
    .int()
    .min(0)
    .max(PAGE_CACHE_BYTES_MAX)
    .nullable()
    .default(null)
    .describe("bytes of the page store at each host; 0: none; null: from the guest's RAM"),
  pushOrder: z
    .enum(PUSH_ORDERS)
    .default("auto")
    .describe("post-copy: in which order pages leave that the guest has not asked for"),
  poolBytes: z
    .int()
    .min(0)
    .max(POOL_BYTES_MAX)
    .nullable()
    .default(null)
    .describe(
      "post-copy: bytes of drained pages at the source; 0: QEMU serves its guest itself; null: from the guest's RAM",
    ),
  postcopyReconnectForMs: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0)
    .describe("post-copy: how long a lost link is tried again, then the guest is lost; 0: without end"),
  forcePostcopy: z
    .boolean()
    .default(false)
    .describe("post-copy even when the link was lost during this move's pre-copy"),
  balloon: z
    .boolean()
    .default(false)
    .describe("first take from the guest what it does not need; it gets that back after the move"),
  timeoutMs: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0)
    .describe("0: none; then onTimeout happens"),
  onTimeout: z.enum(TIMEOUT_ACTIONS).default("abort").describe("stop: stop the guest and copy the rest"),
});

/** POST /v1/migrations */
export const migrationOrderSchema = orderFields
  .refine((o) => o.bandwidthMinBytesPerSec === 0 || o.bandwidthMinBytesPerSec <= o.bandwidthBytesPerSec, {
    path: ["bandwidthMinBytesPerSec"],
    error: "must not be above bandwidthBytesPerSec",
  })
  .refine((o) => o.downtimeLimitMaxMs === 0 || o.downtimeLimitMaxMs >= o.downtimeLimitMs, {
    path: ["downtimeLimitMaxMs"],
    error: "must not be below downtimeLimitMs",
  });
export type MigrationOrder = z.output<typeof migrationOrderSchema>;
export type MigrationOrderInput = z.input<typeof migrationOrderSchema>;

/** What POST /v1/migrations answers. The rest comes as events and from GET /v1/migrations/:id. */
export const migrationAcceptedSchema = z.object({ id: z.string() });

/**
 * GET /v1/migrations/:id, and the data of events "migration.progress" and "migration.ended".
 * Rates are of the last interval. null: not known (yet).
 */
export const migrationStatusSchema = z.object({
  id: z.string(),
  vm: z.string(),
  to: z.string(),
  strategy: z.enum(STRATEGIES),
  phase: z.string().describe("a state of docs/states.md"),
  ended: z.boolean(),
  elapsedMs: z.number(),
  pass: z.number().nullable().describe("QEMU's dirty-sync-count"),
  ramBytes: z.number().nullable(),
  remainingBytes: z.number().nullable(),
  streamBytesPerSec: z.number().nullable(),
  wireBytesPerSec: z.number().nullable(),
  dirtyBytesPerSec: z.number().nullable(),
  expectedDowntimeMs: z.number().nullable(),
  timeLeftMs: z.number().nullable(),
  linkLostAt: z
    .string()
    .nullable()
    .describe("since when the link is down (ISO 8601, UTC); null: it is not, or there is none yet"),
  report: z.looseObject({}).nullable().describe("the report, once ended"),
});
export type MigrationStatusBody = z.output<typeof migrationStatusSchema>;

const qemuSeenSchema = z
  .object({
    running: z.boolean(),
    status: z.string().nullable().describe("QEMU's run state; null: its monitor does not answer"),
    migration: z.string().nullable().describe("status of QEMU's migration"),
  })
  .nullable()
  .describe("null: there is no QEMU of this VM");
const sideSeenSchema = z.object({
  host: z.string(),
  phase: z
    .string()
    .nullable()
    .describe("a state of docs/states.md; null: it knows nothing of this migration"),
  since: z.string().nullable().describe("ISO 8601, UTC"),
  qemu: qemuSeenSchema,
});
const permissionSchema = z
  .enum(["yes", "fenced", "no"])
  .describe("fenced: needs `fenced: true` in the order");

/** GET /v1/recoveries, GET and POST /v1/recoveries/:id. docs/recovery.md */
export const recoverySchema = z.object({
  id: z.string(),
  vm: z.string(),
  side: z.enum(["source", "target"]).describe("which side of the move this host is"),
  phase: z.string(),
  address: z.string().nullable().describe("of the other host's agent"),
  here: sideSeenSchema,
  there: z.union([sideSeenSchema, z.object({ unseen: z.string().describe("why") })]),
  advice: z.object({
    settle: z.enum(["ask", "resume", "discard"]).nullable().describe("what the order settle would do"),
    resume: permissionSchema,
    discard: permissionSchema,
    why: z.string(),
  }),
  done: z.enum(["ask", "resume", "discard"]).nullable().describe("what this order has done"),
});
type Recovered = z.output<typeof recoverySchema>;
/** With the phases as the machines have them. */
export type RecoveryBody = Omit<Recovered, "here" | "there"> & {
  readonly here: SideSeen;
  readonly there: OtherSeen;
};

/** POST /v1/recoveries/:id */
export const recoveryOrderSchema = z.strictObject({
  action: z
    .enum(["settle", "resume", "discard"])
    .describe("settle: what takes no guess; resume: run the guest here; discard: end the QEMU here"),
  fenced: z.boolean().default(false).describe("the other host can run nothing any more: I have seen to it"),
});
export type RecoveryOrder = z.output<typeof recoveryOrderSchema>;

export const idParamsSchema = z.object({ id: z.string().min(1).max(64) });
export const nameParamsSchema = z.object({ name: vmName });

/** POST /v1/vms/:name/balloon */
export const balloonOrderSchema = z
  .strictObject({
    mode: z.enum(["auto", "off"]).default("off").describe("auto: the balloon follows what the guest needs"),
    sizeBytes: z
      .int()
      .min(2 ** 20)
      .optional()
      .describe("RAM that the guest shall have; default: all of it"),
  })
  .refine((o) => o.mode === "off" || o.sizeBytes === undefined, {
    path: ["sizeBytes"],
    error: "goes with mode off only",
  });

const figure = z.number().nullable();

/** GET and POST /v1/vms/:name/balloon */
export const balloonBodySchema = z.object({
  mode: z.enum(["auto", "off"]),
  ramBytes: z.number().describe("of the VM's spec"),
  sizeBytes: z.number().describe("RAM that the guest has now"),
  guest: z
    .object({
      totalBytes: figure,
      freeBytes: figure,
      availableBytes: figure.describe("free memory and what it could free without swapping"),
      cacheBytes: figure,
      majorFaults: figure.describe("since its boot"),
      swapOutBytes: figure.describe("since its boot"),
    })
    .nullable()
    .describe("what the guest's driver says; null: it does not answer"),
});
export type BalloonBody = z.output<typeof balloonBodySchema>;

/** POST /v1/vms/adopt */
export const adoptSchema = z.strictObject({
  qmp: z.string().startsWith("/").describe("path of the QMP socket"),
  oob: z.string().startsWith("/").optional().describe("path of a second QMP socket, for emergencies"),
  name: vmName.optional().describe("default: QEMU's -name"),
  spec: z.looseObject({}).optional().describe("the VM's spec where QMP cannot tell it (kernel, disks)"),
});

/** POST /v1/vms/:name/console */
export const consoleSchema = z.strictObject({ text: z.string().min(1).max(4096) });

export const historyQuerySchema = z.object({
  vm: vmName.optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

/** GET /v1/host */
export const hostBodySchema = z.object({
  host: z.string(),
  version: z.string().describe("of Godwit"),
  pid: z.number(),
  startedAt: z.string(),
  stateDir: z.string(),
  peerAddress: z.string().nullable(),
});
export type HostBody = z.output<typeof hostBodySchema>;

/** One VM in answers. */
export const vmBodySchema = z.object({
  name: z.string(),
  status: z
    .string()
    .describe(
      "QEMU's run state; postcopy-paused: the guest waits for memory that nobody brings; gone: QEMU has ended",
    ),
  incoming: z.boolean(),
  busyWith: z.string().nullable(),
  pid: z.number().nullable(),
  qemuVersion: z.string(),
  spec: z.looseObject({}),
  dir: z.string(),
  heartbeat: z
    .object({ beats: z.number(), lastSeq: z.number().nullable(), lastAgoMs: z.number().nullable() })
    .nullable(),
  oracle: z
    .object({
      verified: z.number(),
      lastVerified: z.number().nullable(),
      corrupt: z.number(),
      lastCorrupt: z.string().nullable(),
    })
    .nullable(),
});
export type VmBody = z.output<typeof vmBodySchema>;

/** Every answer that is not 2xx. */
export const errorBodySchema = z.object({
  error: z.object({ code: z.string(), fields: z.looseObject({}), message: z.string() }),
});
