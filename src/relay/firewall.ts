import { totalmem } from "node:os";
import type { FirewallOptions } from "../stream/mod.ts";
import type { StreamLimits } from "./types.ts";

/** Device state is some hundred KiB; a machine of many devices has some MiB. */
export const DEVICE_BYTES_MAX = 256 * 2 ** 20;
/** Memory can be promised more than once, but nobody runs a guest of many times what the host has. */
const TIMES_HOST_MEMORY = 4;

/** The limits of a target relay, with a default for each that nobody gave. */
export function firewallOf(limits: StreamLimits | undefined): FirewallOptions {
  return {
    ramBytesMax: limits?.ramBytesMax ?? TIMES_HOST_MEMORY * totalmem(),
    deviceBytesMax: limits?.deviceBytesMax ?? DEVICE_BYTES_MAX,
    passUnchecked: limits?.passUnchecked ?? false,
    knownDevices: limits?.knownDevices,
  };
}
