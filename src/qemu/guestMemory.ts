/**
 * Where a QEMU's process has its guest's memory, so that it can be read from outside (src/relay/recovery). QEMU takes no part
 * in the reading: it works for a guest that stands still after its migration, when QEMU itself gives its memory out no more.
 */
import { readFileSync } from "node:fs";
import { GodwitError } from "../errors/mod.ts";
import type { Monitor } from "./monitor.ts";
import type { ProcessId } from "./process.ts";

/** One RAM block as the migration stream knows it. */
export interface GuestBlock {
  readonly name: string;
  /** What crosses in a migration; a block may be able to grow beyond. */
  readonly usedBytes: number;
  /** In QEMU's address space; null: it could not be found out. */
  readonly address: number | null;
}

/** Plain JSON. Holds as long as the process. */
export interface GuestMemoryMap extends ProcessId {
  readonly blocks: readonly GuestBlock[];
}

interface Place extends Omit<GuestBlock, "address"> {
  readonly totalBytes: number;
  readonly address: number | undefined;
}

/**
 * Asks QEMU where its RAM blocks are.
 *
 * QEMU 8.2 and newer say the addresses of all blocks. Of older ones those that the guest has mapped are asked for
 * (`gpa2hva`); of the rest, the ROMs of firmware tables, the only mapping of that size that is made as QEMU makes its RAM is
 * taken, and where there are two the block's address stays unknown.
 * @throws GodwitError GUEST_MEMORY_CLOSED when this process may not look at that one; those of the monitor
 */
export async function locateGuestMemory(monitor: Monitor, process: ProcessId): Promise<GuestMemoryMap> {
  const { pid, startTicks } = process;
  const hmp = (line: string) => monitor.execute("human-monitor-command", { "command-line": line });
  let places = parseRamBlocks(await hmp("info ramblock"));
  if (places.some(({ address }) => address === undefined)) {
    places = await askMapped(places, hmp);
    places = fromMappings(places, parseMappings(readMaps(pid)));
  }
  const blocks = places.map(({ name, usedBytes, address }) => ({
    name,
    usedBytes,
    address: address ?? null,
  }));
  return { pid, startTicks, blocks };
}

function readMaps(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, "utf8");
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new GodwitError("GUEST_MEMORY_CLOSED", { pid, reason }, { cause });
  }
}

/** Name, page size, offset, used, total, and from 8.2 on address and whether it may be written. */
const RAM_BLOCK =
  /^ *(\S.*?) +\d+ (?:B|[KMG]iB) +0x[\da-f]+ +0x([\da-f]+) +0x([\da-f]+)(?: +0x([\da-f]+) +r[wo])?\r?$/gm;

/** The answer of HMP `info ramblock`. */
export function parseRamBlocks(text: string): Place[] {
  return [...text.matchAll(RAM_BLOCK)].map(([, name, used, total, address]) => ({
    name: name!,
    usedBytes: Number.parseInt(used!, 16),
    totalBytes: Number.parseInt(total!, 16),
    address: address === undefined ? undefined : Number.parseInt(address, 16),
  }));
}

/** Where the guest sees a piece of a memory region that is RAM or ROM: `info mtree -f`. */
const MAPPED =
  /^ +([\da-f]{16})-[\da-f]{16} \(prio \d+, (?:ram|rom|romd)\): (\S+)(?: @([\da-f]{16}))?(?: KVM)?\r?$/gm;
const HOST_ADDRESS = /is 0x([\da-f]+)/;

async function askMapped(places: readonly Place[], hmp: (line: string) => Promise<string>): Promise<Place[]> {
  const mapped = new Map<string, { readonly gpa: string; readonly offset: number }>();
  for (const [, gpa, region, offset] of (await hmp("info mtree -f")).matchAll(MAPPED))
    if (!mapped.has(region!)) mapped.set(region!, { gpa: gpa!, offset: Number.parseInt(offset ?? "0", 16) });
  const found: Place[] = [];
  for (const place of places) {
    const region = regionOf(place.name, places);
    const at = place.address === undefined && region !== undefined ? mapped.get(region) : undefined;
    const answer = at && HOST_ADDRESS.exec(await hmp(`gpa2hva 0x${at.gpa}`));
    found.push(answer ? { ...place, address: Number.parseInt(answer[1]!, 16) - at.offset } : place);
  }
  return found;
}

/** A device's block is named after its region, below the device's path; undefined where two devices have the same. */
function regionOf(block: string, places: readonly Place[]): string | undefined {
  const region = block.slice(block.lastIndexOf("/") + 1);
  const alike = places.filter(({ name }) => name === region || name.endsWith(`/${region}`));
  return alike.length === 1 ? region : undefined;
}

interface Mapping {
  readonly start: number;
  readonly bytes: number;
}

const MAPPING = /^([\da-f]+)-([\da-f]+) (\S{4}) /gm;

/**
 * The mappings of /proc/PID/maps that may be QEMU's RAM: writable, with a page behind them that nobody may touch
 * (util/mmap-alloc.c: "a guard page"). Without that sign the data of a library, of which some start at 2 MiB by chance, would
 * look the same as a small block.
 */
export function parseMappings(text: string): Mapping[] {
  const all = [...text.matchAll(MAPPING)].map(([, from, to, may]) => {
    const start = Number.parseInt(from!, 16);
    return { start, bytes: Number.parseInt(to!, 16) - start, may: may! };
  });
  const guarded = ({ start, bytes }: Mapping, next: (typeof all)[number] | undefined) =>
    next?.start === start + bytes && next.may.startsWith("---");
  return all
    .filter((mapping, i) => mapping.may.startsWith("rw-") && guarded(mapping, all[i + 1]))
    .map(({ start, bytes }) => ({ start, bytes }));
}

/** QEMU aligns its RAM so that huge pages may be used. */
const ALIGN_BYTES = 2 ** 21;

/** Completes addresses by size where that leaves no doubt. */
export function fromMappings(places: readonly Place[], mappings: readonly Mapping[]): Place[] {
  const taken = new Set(places.map(({ address }) => address));
  const free = mappings.filter(({ start }) => start % ALIGN_BYTES === 0 && !taken.has(start));
  return places.map((place) => {
    if (place.address !== undefined) return place;
    const fits = free.filter(({ bytes }) => bytes === place.totalBytes);
    const rivals = places.filter((p) => p.address === undefined && p.totalBytes === place.totalBytes);
    return fits.length === 1 && rivals.length === 1 ? { ...place, address: fits[0]!.start } : place;
  });
}
