import { z } from "zod";
import { GodwitError } from "../errors/mod.ts";
import { parseSize, SIZE_FORMS } from "./size.ts";

/** Small enough that a socket path with it fits into the system's 107 bytes. */
export const VM_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
const MIN_MEMORY_BYTES = 4 * 2 ** 20;

const path = z.string().min(1).max(4096).startsWith("/", "must be an absolute path");
const mac = z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, "must look like 52:54:00:12:34:56");

const nic = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("user"), mac: mac.optional() }),
  z.strictObject({ type: z.literal("tap"), ifname: z.string().regex(/^[\w.-]{1,15}$/), mac: mac.optional() }),
]);

const disk = z.strictObject({
  path,
  format: z.enum(["raw", "qcow2"]),
  readOnly: z.boolean().default(false),
});

const balloon = z.strictObject({
  hints: z.boolean().default(false).describe("free pages are named to QEMU at each pre-copy, and not sent"),
  reporting: z.boolean().default(false).describe("free pages are given back to the host as they become free"),
  deflateOnOom: z.boolean().default(false).describe("the guest takes pages back before it kills a process"),
});

/** What a VM is, as the user writes it. The meaning of each field is in its description. */
export const vmSpecSchema = z.strictObject({
  name: z
    .string()
    .regex(VM_NAME, "1-32 letters, digits, dots, dashes, underscores")
    .describe("unique on a host"),
  cpus: z.int().min(1).max(288).default(1).describe("number of vCPUs"),
  memory: z
    .string()
    .refine((text) => (parseSize(text) ?? 0) >= MIN_MEMORY_BYTES, `must be ${SIZE_FORMS}, at least 4MiB`)
    .refine((text) => (parseSize(text) ?? 0) % 8192 === 0, "must be a multiple of 8KiB")
    .describe("RAM, such as 512MiB"),
  machine: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .default("q35")
    .describe("machine type; an alias is resolved at launch"),
  cpu: z
    .string()
    .regex(/^[\w.,+=-]{1,512}$/)
    .optional()
    .describe("CPU model; default: a named one both hosts can have"),
  accel: z
    .enum(["auto", "kvm", "tcg"])
    .default("auto")
    .describe("auto: KVM if it really runs a guest, else TCG"),
  kernel: path.optional(),
  initrd: path.optional(),
  append: z.string().max(2048).optional().describe("kernel command line"),
  disks: z.array(disk).max(16).default([]),
  nics: z.array(nic).max(8).default([]),
  serial: z.boolean().default(true).describe("a serial console, on a unix socket and in a log file"),
  balloon: z
    .union([z.boolean(), balloon])
    .default(false)
    .describe("a virtio balloon; {hints, reporting, deflateOnOom} for more than its size"),
  memfd: z.boolean().default(false).describe("RAM in a shared memfd instead of private memory"),
  heartbeat: z
    .boolean()
    .default(false)
    .describe('the guest prints "H <seq> <ms>" on its serial console every 10 ms'),
  qemu: z
    .strictObject({
      binary: z.string().min(1).max(4096),
      args: z.array(z.string().max(4096)).max(64).default([]),
    })
    .optional()
    .describe("the QEMU to run; default: the agent's"),
});

/** What a balloon can do beside its size. Feature bits of the device: both sides of a move need the same ones. */
export type BalloonFeatures = z.output<typeof balloon>;

/** The balloon of a spec; null: it has none. */
export function balloonOf(spec: { readonly balloon: boolean | BalloonFeatures }): BalloonFeatures | null {
  if (spec.balloon === false) return null;
  return spec.balloon === true ? { hints: false, reporting: false, deflateOnOom: false } : spec.balloon;
}

/** A spec as written. */
export type VmSpecInput = z.input<typeof vmSpecSchema>;
/** A checked spec with its defaults. */
export type VmSpec = z.output<typeof vmSpecSchema>;

/**
 * A spec in which nothing is left to the QEMU that launches it, so that a target gets exactly the same machine:
 * versioned machine type, named CPU model, fixed MAC addresses and UUID.
 */
export const resolvedSpecSchema = vmSpecSchema.extend({
  accel: z.enum(["kvm", "tcg"]),
  cpu: z.string(),
  uuid: z.uuid(),
});
export type ResolvedSpec = z.output<typeof resolvedSpecSchema>;

/** Errors: SPEC_INVALID naming the field and what it must be. */
export function parseSpec(input: unknown): VmSpec {
  return checked(vmSpecSchema, input);
}

/** The same for a spec that another agent resolved. Errors: SPEC_INVALID. */
export function parseResolvedSpec(input: unknown): ResolvedSpec {
  return checked(resolvedSpecSchema, input);
}

/** RAM of a checked spec in bytes. An unchecked one is a bug and throws. */
export function memoryBytesOf(spec: Pick<VmSpec, "memory">): number {
  const bytes = parseSize(spec.memory);
  if (bytes === null) throw new TypeError(`unchecked spec: memory ${spec.memory}`);
  return bytes;
}

function checked<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const problem = result.error.issues.map((i) => `${i.path.join(".") || "spec"}: ${i.message}`).join("; ");
  throw new GodwitError("SPEC_INVALID", { problem });
}
