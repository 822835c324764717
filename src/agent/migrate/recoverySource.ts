/** The source agent's part in the recovery of a post-copy: what its rescue relay has to know. */
import { GodwitError } from "../../errors/mod.ts";
import { type GuestMemoryMap, locateGuestMemory, processId } from "../../qemu/mod.ts";
import type { RamSection, RelayFigures } from "../../relay/mod.ts";
import type { Vm } from "../context.ts";

const PAGE_BYTES = 4096;

/**
 * Where the source's memory is.
 * @param section  what the stream announced; null: it did not come so far
 * @throws GodwitError POSTCOPY_LOST, GUEST_MEMORY_CLOSED; those of the monitor
 */
export async function memoryOf(vm: Vm, section: RamSection | null): Promise<GuestMemoryMap> {
  // A huge page is placed whole, and a rescue relay sends single ones.
  const huge = section?.blocks.some(({ pageBytes = PAGE_BYTES }) => pageBytes !== PAGE_BYTES) ?? true;
  if (huge) throw new GodwitError("POSTCOPY_LOST", {});
  // Its monitor answers: the number is still its own.
  const process = vm.pid === null ? null : processId(vm.pid);
  if (process !== null) return locateGuestMemory(vm.monitor, process);
  throw new GodwitError("GUEST_MEMORY_CLOSED", {
    pid: vm.pid ?? 0,
    reason: "its process cannot be seen from here",
  });
}

/** What a relay and those before it measured, for the report. `now` is the newest's. */
export function together(before: RelayFigures | null, now: RelayFigures): RelayFigures {
  if (before === null) return now;
  const sum = (a: number | null, b: number | null) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));
  const most = (a: number | null, b: number | null) =>
    a === null && b === null ? null : Math.max(a ?? 0, b ?? 0);
  const { pages, wireBytes, cpuMs, rssBytes } = before;
  return {
    ...now,
    elapsedMs: before.elapsedMs + now.elapsedMs,
    streamBytes: before.streamBytes + now.streamBytes,
    wireBytes: {
      forward: wireBytes.forward + now.wireBytes.forward,
      backward: wireBytes.backward + now.wireBytes.backward,
    },
    pages: {
      sent: pages.sent + now.pages.sent,
      zero: pages.zero + now.pages.zero,
      raw: pages.raw + now.pages.raw,
      encoded: pages.encoded + now.pages.encoded,
    },
    engine: before.engine,
    paging: before.paging,
    faults: before.faults + now.faults,
    reconnects: before.reconnects + now.reconnects,
    equal: before.equal === null ? now.equal : before.equal && now.equal !== false,
    cpuMs: { source: sum(cpuMs.source, now.cpuMs.source), target: sum(cpuMs.target, now.cpuMs.target) },
    rssBytes: {
      source: most(rssBytes.source, now.rssBytes.source),
      target: most(rssBytes.target, now.rssBytes.target),
    },
  };
}
