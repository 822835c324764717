/** A kept result of the matrix: one JSON file, rows of one run or of several. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { dirname, join } from "node:path";
import type { FaultRow } from "./types.ts";

export const RESULTS_FOLDER = join(import.meta.dirname, "results");
const VERSION = 1;

export interface FaultResult {
  readonly version: typeof VERSION;
  /** How the newest rows were made. */
  readonly command: string;
  readonly machine: { readonly cpus: number; readonly kernel: string; readonly node: string };
  readonly rows: readonly FaultRow[];
}

/** Rows as a result of this machine. */
export function resultOf(command: string, rows: readonly FaultRow[]): FaultResult {
  const machine = { cpus: availableParallelism(), kernel: release(), node: process.version };
  return { version: VERSION, command, machine, rows };
}

/**
 * Writes a result in one step. Rows that the file has of other cases, or of other QEMUs, stay: a case is told by its
 * newest run.
 */
export function keepResult(path: string, result: FaultResult): void {
  const key = ({ name, qemu }: FaultRow): string => `${name} ${qemu}`;
  const rows = new Map<string, FaultRow>();
  for (const row of [...(existsSync(path) ? readResult(path).rows : []), ...result.rows])
    rows.set(key(row), row);
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify({ ...result, rows: [...rows.values()] }, null, 1)}\n`);
  renameSync(temporary, path);
}

/** Throws when it is no result of this version. */
export function readResult(path: string): FaultResult {
  const result = JSON.parse(readFileSync(path, "utf8")) as FaultResult;
  if (result.version !== VERSION || !Array.isArray(result.rows))
    throw new Error(`${path} is no result of faults`);
  return result;
}

/** All kept results, by the names of their files without `.json`, in order. */
export function keptResults(): { readonly name: string; readonly result: FaultResult }[] {
  if (!existsSync(RESULTS_FOLDER)) return [];
  return readdirSync(RESULTS_FOLDER)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => ({ name: file.slice(0, -5), result: readResult(join(RESULTS_FOLDER, file)) }));
}
