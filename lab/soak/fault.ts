import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationStatusBody } from "../../src/agent/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import type { SoakHost } from "./host.ts";
import type { OpenLine } from "./line.ts";
import type { Fault } from "./plan.ts";

const POLL_MS = 10;

/** What became of a planned fault: put in; the move never came to its moment, or was over; or its order was refused, why. */
export type FaultSeen = "done" | "too late" | { readonly refused: string };

export interface FaultParts {
  readonly fault: Fault;
  readonly id: string;
  readonly source: SoakHost;
  readonly target: SoakHost;
  readonly line: OpenLine;
  /** Aborted when the move is over, or the soak. */
  readonly over: AbortSignal;
}

/** Waits for the moment of a fault and puts it in. Never rejects for what the move does meanwhile. */
export async function putIn(parts: FaultParts): Promise<FaultSeen> {
  const { fault, over } = parts;
  try {
    for (;;) {
      const { phase, ended } = await status(parts);
      if (ended) return "too late";
      if (phase === fault.at.phase) break;
      await sleep(POLL_MS, undefined, { signal: over });
    }
    await sleep(fault.at.afterMs, undefined, { signal: over });
    const { phase, ended } = await status(parts);
    if (ended || phase !== fault.at.phase) return "too late";
  } catch (error) {
    if (over.aborted) return "too late";
    throw error;
  }
  return carryOut(parts);
}

async function carryOut({ fault, id, source, target, line }: FaultParts): Promise<FaultSeen> {
  switch (fault.kind) {
    case "cut":
      line.cut(fault.forMs, fault.manner);
      return "done";
    case "kill": {
      const pid = (fault.relay === "source" ? source : target).newestRelay();
      return pid !== null && killed(pid) ? "done" : "too late";
    }
    case "cancel":
      try {
        await source.client.post(`/v1/migrations/${id}/cancel`);
        return "done";
      } catch (error) {
        if (!isGodwitError(error)) throw error;
        return { refused: error.code };
      }
  }
}

function status({ id, source }: FaultParts): Promise<MigrationStatusBody> {
  return source.client.get(`/v1/migrations/${id}`);
}

/** @returns false when it has ended by itself */
function killed(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
