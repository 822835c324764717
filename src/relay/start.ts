import type { RelayHooks } from "./hooks.ts";
import { startRescueRelay } from "./recovery/start.ts";
import { startSourceRelay } from "./source.ts";
import { startTargetRelay } from "./target.ts";
import type { RelayOptions, RunningRelay } from "./types.ts";

/**
 * Starts the relay of either side.
 * @throws GodwitError USAGE, LINK_INSECURE, SOCKET_TAKEN, SOCKET_FOLDER_MISSING, GUEST_MEMORY_CLOSED,
 *   TLS_FOLDER, TLS_KEY_OPEN
 */
export function startRelay(options: RelayOptions, hooks: RelayHooks): Promise<RunningRelay> {
  if (options.side === "rescue") return startRescueRelay(options, hooks);
  return options.side === "source" ? startSourceRelay(options, hooks) : startTargetRelay(options, hooks);
}
