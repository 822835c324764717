/** What QEMU is told before a migration. Asked of QEMU, never guessed from its version. */
import { mayUsePostcopy } from "../../migration/mod.ts";
import type { Monitor } from "../../qemu/mod.ts";
import type { MigrationOrder } from "../api.ts";
import { firstBandwidth } from "./steering.ts";

/** The relay's token bucket limits, not QEMU; below 10 QEMU 7.2 would take a limit for none at all. */
const OPEN_BYTES_PER_SEC = 2 ** 40;

const PAGE_BYTES = 4096;
/** Of a larger guest the pages that are written again and again are what a store is for. */
const PAGE_CACHE_BYTES = 512 * 2 ** 20;

/** Of a larger guest the rest is drained as the pool empties. */
const POOL_BYTES = 256 * 2 ** 20;

/** What the source relay may take for pages that it drains in post-copy, whole pages. */
export function poolBytesOf(order: Pick<MigrationOrder, "poolBytes">, ramBytes: number): number {
  const bytes = order.poolBytes ?? Math.min(ramBytes, POOL_BYTES);
  return bytes - (bytes % PAGE_BYTES);
}

/** What each relay may take for its page store, whole pages. */
export function pageCacheBytesOf(order: Pick<MigrationOrder, "pageCacheBytes">, ramBytes: number): number {
  const bytes = order.pageCacheBytes ?? Math.min(ramBytes, PAGE_CACHE_BYTES);
  return bytes - (bytes % PAGE_BYTES);
}

/** What the order says of the source's relay. */
export function relaySettings(order: MigrationOrder, ramBytes: number) {
  const { engine, pagePolicy, pushOrder, postcopyReconnectForMs } = order;
  return {
    ...{ engine, pagePolicy, pushOrder, postcopyReconnectForMs },
    bandwidthBytesPerSec: firstBandwidth(order),
    pageCacheBytes: pageCacheBytesOf(order, ramBytes),
    poolBytes: mayUsePostcopy(order) ? poolBytesOf(order, ramBytes) : 0,
  };
}

/** `return-path`: only the source's matters, and the target of 7.2 refuses nothing about it. */
export async function configureSource(
  monitor: Monitor,
  order: { readonly postcopy: boolean; readonly downtimeLimitMs: number },
): Promise<void> {
  const on = ["events", "return-path"];
  if (order.postcopy) on.push("postcopy-ram");
  await setCapabilities(monitor, on);
  await monitor.execute("migrate-set-parameters", {
    "max-bandwidth": OPEN_BYTES_PER_SEC,
    "max-postcopy-bandwidth": 0,
    "downtime-limit": order.downtimeLimitMs,
  });
}

export async function configureTarget(
  monitor: Monitor,
  order: { readonly postcopy: boolean },
): Promise<void> {
  await setCapabilities(monitor, order.postcopy ? ["events", "postcopy-ram"] : ["events"]);
}

/** Exactly these on: multifd, xbzrle, compress and the like would change the stream under the relay. */
async function setCapabilities(monitor: Monitor, on: readonly string[]): Promise<void> {
  const known = await monitor.execute("query-migrate-capabilities");
  const capabilities = known
    .map(({ capability, state }) => ({ capability, state, wanted: on.includes(capability) }))
    .filter(({ state, wanted }) => state !== wanted)
    .map(({ capability, wanted }) => ({ capability, state: wanted }));
  if (capabilities.length > 0) await monitor.execute("migrate-set-capabilities", { capabilities });
}
