import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_QEMU, kvmVerdict, probeQemu } from "../../qemu/mod.ts";
import type { AgentContext } from "../context.ts";

/** An agent that has just started has more urgent things to do. */
const REST_MS = 1_500;

/**
 * Does ahead what the first move would otherwise wait for: a relay's process, Node's HTTP client (loaded at its first
 * use), and, where VMs can arrive, the question what this host's QEMU can do. Never rejects: whoever needs an answer asks
 * again and gets the error.
 */
export async function warmUp(context: AgentContext, signal: AbortSignal): Promise<void> {
  context.relays.makeSoon();
  try {
    await sleep(REST_MS, undefined, { signal, ref: false });
    void globalThis.Request;
    if (context.peerAddress === null) return;
    const qemu = context.qemu ?? DEFAULT_QEMU;
    await probeQemu(qemu, (await kvmVerdict(qemu)).usable ? "kvm" : "tcg");
  } catch (error) {
    if (!signal.aborted) context.log.debug({ err: error }, "nothing was made ready ahead");
  }
}
