import { setTimeout as sleep } from "node:timers/promises";
import type { QemuArtefact } from "../setup/mod.ts";
import { broken } from "./promise.ts";
import type { FaultCase, FaultRow, FaultSeen } from "./types.ts";

/** How long a case may take to let go after an interruption; the sandbox ends what is left. */
const LET_GO_MS = 20_000;

export interface RunOptions {
  readonly cases: readonly FaultCase[];
  readonly qemus: readonly QemuArtefact[];
  /** Aborted: the case under way is given up and gives no row. */
  readonly signal: AbortSignal;
  /** After each case, in order. */
  onRow(row: FaultRow, done: number, of: number): void;
}

/** Runs the cases one after the other, on each QEMU in turn. A case that throws is a row with its problem. */
export async function runFaults({ cases, qemus, signal, onRow }: RunOptions): Promise<FaultRow[]> {
  const rows: FaultRow[] = [];
  const of = cases.length * qemus.length;
  try {
    for (const qemu of qemus)
      for (const one of cases) {
        const row = await Promise.race([runCase(one, qemu, signal), givenUp(signal)]);
        if (row === null || signal.aborted) return rows;
        rows.push(row);
        onRow(row, rows.length, of);
      }
  } finally {
    for (const one of cases) await Promise.race([one.end?.(), givenUp(signal)]);
  }
  return rows;
}

async function runCase(one: FaultCase, qemu: QemuArtefact, signal: AbortSignal): Promise<FaultRow> {
  let seen: FaultSeen | null = null;
  let problem: string | null = null;
  const at = new Date().toISOString();
  try {
    seen = await one.run(qemu, signal);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  const { name, group, system, strategy, moment, fault } = one;
  const promise = system === "stock" ? null : (one.promise ?? "survives");
  const kept = promise === null || seen === null ? null : broken(promise, seen).length === 0;
  return {
    ...{ name, group, system, strategy, moment, fault },
    qemu: qemu.version,
    ...{ seen, problem, promise, kept, at },
  };
}

/** Null, a while after the run was interrupted. */
async function givenUp(signal: AbortSignal): Promise<null> {
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  return sleep(LET_GO_MS, null, { ref: false });
}
