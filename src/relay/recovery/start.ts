import { GodwitError } from "../../errors/mod.ts";
import { refuseInsecure } from "../../link/mod.ts";
import { splitAddress } from "../address.ts";
import type { RelayHooks } from "../hooks.ts";
import { linkTls } from "../linkTls.ts";
import type { RescueRelayOptions, RunningRelay } from "../types.ts";
import { Rescue } from "./rescue.ts";

const PROGRESS_MS = 100;

/**
 * Brings a post-copy to its end that has lost a relay, or the target QEMU's connection. Connects at once, and tells `ended`
 * once.
 *
 * @throws GodwitError USAGE, LINK_INSECURE, GUEST_MEMORY_CLOSED, TLS_FOLDER, TLS_KEY_OPEN
 */
export async function startRescueRelay(
  options: RescueRelayOptions,
  hooks: RelayHooks,
): Promise<RunningRelay> {
  const { host, port } = splitAddress(options.to);
  const secure = await linkTls(options, hooks.log);
  refuseInsecure(host, port, options.insecure || secure.tls !== undefined);
  const rescue = new Rescue(options, hooks, secure);
  const progress = setInterval(() => {
    hooks.event({ event: "progress", figures: rescue.figures() });
  }, PROGRESS_MS);
  const ended = rescue.outcome.then(({ figures, error }) => {
    clearInterval(progress);
    hooks.event({ event: "ended", figures, error: error?.toJSON() ?? null });
  });
  void rescue.start();
  return {
    address: options.to,
    order(order) {
      if (order.order === "setBandwidth") rescue.setBandwidth(order.bytesPerSec);
      else if (order.order === "abort") rescue.abandon(GodwitError.fromWire(order.error));
    },
    async close(reason) {
      rescue.abandon(reason);
      await ended;
    },
    /** The target runs: only the end of this helps anybody. */
    async retire() {
      await ended;
    },
  };
}
