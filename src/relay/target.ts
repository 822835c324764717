import { GodwitError } from "../errors/mod.ts";
import { listenLink } from "../link/mod.ts";
import { splitAddress } from "./address.ts";
import { decodeGreeting, encodeTargetGreeting } from "./greeting.ts";
import type { RelayHooks } from "./hooks.ts";
import { linkTls } from "./linkTls.ts";
import { TargetCarry } from "./targetCarry.ts";
import { layTargetMemory } from "./targetMemory.ts";
import type { RunningRelay, TargetRelayOptions } from "./types.ts";

const PROGRESS_MS = 250;

/**
 * Listens for a source relay and passes what it carries to the target QEMU, one migration at a time.
 * Tells `ended` once for each; goes on listening until closed.
 *
 * @throws GodwitError USAGE, LINK_INSECURE, SOCKET_TAKEN, TLS_FOLDER, TLS_KEY_OPEN
 */
export async function startTargetRelay(
  options: TargetRelayOptions,
  hooks: RelayHooks,
): Promise<RunningRelay> {
  const { host, port } = splitAddress(options.listen);
  const memory = layTargetMemory(options.pageCacheBytes);
  let current: TargetCarry | undefined;

  const server = await listenLink(
    {
      host,
      port,
      ticket: options.ticket,
      ...(options.ticketOnceWithinMs !== undefined && { ticketOnceWithinMs: options.ticketOnceWithinMs }),
      ...(await linkTls(options, hooks.log)),
      insecure: options.insecure,
      reconnectForMs: options.reconnectForMs,
      arena: memory.linkArena,
      log: ({ fault, address }) => hooks.log(`turned away ${address}: ${fault}`),
      onRefused: (refused) => hooks.event({ event: "refused", refused }),
      greeting: encodeTargetGreeting({ pageCacheBytes: memory.store.bytes }),
      bandwidthBytesPerSec: 0,
    },
    ({ greeting, link }) => {
      const carry = new TargetCarry(decodeGreeting(greeting), link, { options, memory, hooks });
      current = carry;
      void carry.outcome.then(({ figures, error }) => {
        current = undefined;
        hooks.event({ event: "ended", figures, error: error?.toJSON() ?? null });
      });
      return carry;
    },
  );
  const address = `${host.includes(":") ? `[${host}]` : host}:${server.port}`;
  const progress = setInterval(() => {
    if (current !== undefined) hooks.event({ event: "progress", figures: current.figures() });
  }, PROGRESS_MS);
  hooks.event({ event: "listening", address: address });

  const close = async (reason: GodwitError): Promise<void> => {
    clearInterval(progress);
    current?.abandon(reason);
    await server.close();
  };
  return {
    address: address,
    order(order) {
      if (order.order === "abort") current?.abandon(GodwitError.fromWire(order.error));
    },
    close,
    async retire(reason) {
      const last = current;
      if (last?.targetMayRun) {
        hooks.log(`${reason.message}, but the target may run already: this migration is carried to its end`);
        await last.outcome;
      }
      await close(reason);
    },
  };
}
