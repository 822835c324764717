import { setTimeout as sleep } from "node:timers/promises";
import type { VmBody } from "../../src/agent/mod.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import type { DemoHost } from "./host.ts";

const POLL_MS = 200;
/** Of one verification pass over the whole working set, and of the boot before the first one. */
const SILENCE_MS_MAX = 120_000;

export interface Verdict {
  /** The number of the pass that ended OK, as the guest counts them. */
  readonly pass: number;
  readonly tookMs: number;
}

/**
 * Waits until the guest itself has ended `passes` more verification passes over its whole working set, counted from
 * now. After a move two are needed: the first may have begun before it.
 *
 * Errors: GUEST_CORRUPT at the first difference; GUEST_SILENT when no pass ends for long; those of the agent, as
 * VM_UNKNOWN when the guest's QEMU has ended.
 */
export async function guestVerifies(
  host: Pick<DemoHost, "name" | "client">,
  vm: string,
  passes: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const startedAtMs = performance.now();
  let heardAtMs = startedAtMs;
  let goal: number | null = null;
  let seen = -1;
  for (;;) {
    const { oracle, status } = await host.client.get<VmBody>(`/v1/vms/${vm}`);
    if (oracle === null) throw new Error("the demo's guest has a console");
    if (oracle.corrupt > 0)
      throw new GodwitError("GUEST_CORRUPT", { vm, host: host.name, line: oracle.lastCorrupt ?? "" });
    goal ??= oracle.verified + passes;
    if (oracle.verified >= goal && oracle.lastVerified !== null)
      return { pass: oracle.lastVerified, tookMs: performance.now() - startedAtMs };
    if (oracle.verified !== seen) heardAtMs = performance.now();
    seen = oracle.verified;
    if (performance.now() - heardAtMs > SILENCE_MS_MAX)
      throw new GodwitError("GUEST_SILENT", { vm, host: host.name, status, afterMs: SILENCE_MS_MAX });
    await sleep(POLL_MS, undefined, { signal });
  }
}
