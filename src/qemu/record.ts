import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { vmPaths } from "./args.ts";
import { resolvedSpecSchema } from "./spec.ts";

const recordSchema = z.object({
  version: z.literal(1),
  spec: resolvedSpecSchema,
  process: z.object({ pid: z.int(), startTicks: z.number() }).nullable(),
  incoming: z.boolean(),
  /** Where the monitors of a QEMU are that we did not start. */
  adopted: z.object({ qmp: z.string(), oob: z.string().nullable() }).nullable(),
});

/** What a VM's folder says about it, for an agent that starts again while the VM runs on. */
export type VmRecord = z.output<typeof recordSchema>;

/** On the disk when it returns; never half written. */
export function writeRecord(dir: string, record: VmRecord): void {
  const { record: path } = vmPaths(dir);
  const temporary = `${path}.new`;
  const fd = openSync(temporary, "w", 0o600);
  try {
    writeSync(fd, JSON.stringify(record, null, 2));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const folder = openSync(join(path, ".."), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** null when the folder has none, or one of another version of Godwit. */
export function readRecord(dir: string): VmRecord | null {
  let text: string;
  try {
    text = readFileSync(vmPaths(dir).record, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  return recordSchema.safeParse(JSON.parse(text)).data ?? null;
}
