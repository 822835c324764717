import type net from "node:net";
import { EXIT, GodwitError } from "../errors/mod.ts";
import { refuseInsecure } from "../link/mod.ts";
import { ENGINES } from "../pages/mod.ts";
import { splitAddress } from "./address.ts";
import { Door } from "./door.ts";
import { sourceMemory } from "./engine/layout.ts";
import type { RelayHooks } from "./hooks.ts";
import { linkTls } from "./linkTls.ts";
import { SourceCarry, type SourceCarryContext } from "./sourceCarry.ts";
import type { RunningRelay, SourceRelayOptions } from "./types.ts";

/** Connections that have not said anything yet. */
const STRANGERS_MAX = 4;
const STRANGER_MS = 10_000;
const PROGRESS_MS = 100;

/**
 * Listens for a migrating QEMU and carries its stream to the target relay, one migration at a time.
 * Tells `ended` once for each; goes on listening until closed.
 *
 * @throws GodwitError USAGE, LINK_INSECURE, SOCKET_TAKEN, SOCKET_FOLDER_MISSING, TLS_FOLDER, TLS_KEY_OPEN
 */
export async function startSourceRelay(
  options: SourceRelayOptions,
  hooks: RelayHooks,
): Promise<RunningRelay> {
  const { host, port } = splitAddress(options.to);
  const secure = await linkTls(options, hooks.log);
  refuseInsecure(host, port, options.insecure || secure.tls !== undefined);
  const { engine: name, pagePolicy, pageCacheBytes, poolBytes } = options;
  const engine = name === "plain" ? undefined : ENGINES[name];
  const memory = sourceMemory(engine, pagePolicy, pageCacheBytes, poolBytes);
  const context: SourceCarryContext = { options, memory, hooks, secure };

  let current: SourceCarry | undefined;
  /** Ended, but their QEMU's connection is kept open because nobody knows what it may do. */
  const inDoubt = new Set<SourceCarry>();
  const strangers = new Set<SourceCarry>();

  const accept = (socket: net.Socket): void => {
    if (current?.postcopyMayCome) {
      socket.on("error", () => undefined).destroy();
      return current.abandon(new GodwitError("POSTCOPY_PREEMPT", {}));
    }
    if (current !== undefined) {
      hooks.log(
        "refused a second connection: one migration at a time, and neither multifd nor postcopy-preempt",
      );
      socket.on("error", () => undefined).destroy();
      return;
    }
    // QEMU speaks at once: whoever has been silent for longest makes room, so that nobody can keep QEMU out.
    const [longest] = strangers.size >= STRANGERS_MAX ? strangers : [];
    longest?.abandon(new GodwitError("STREAM_NOT_QEMU", { firstBytes: "nothing" }));
    const carry: SourceCarry = new SourceCarry(socket, context, {
      identified() {
        strangers.delete(carry);
        if (current === undefined) current = carry;
        else carry.abandon(new GodwitError("LINK_BUSY", { address: options.listen }));
      },
      // QEMU 7.2 opens its second connection at once, and says nothing there before the first urgent page.
      advised() {
        if (strangers.size > 0) carry.abandon(new GodwitError("POSTCOPY_PREEMPT", {}));
      },
      // Newer ones open it when post-copy begins, but not before the target's first answer. Accepted there and then
      // closed it would leave a guest that runs nowhere; refused, the migration fails and the guest goes on.
      answered() {
        if (!carry.postcopyMayCome) return;
        hooks.log("post-copy may come: no second connection is accepted (postcopy-preempt must be off)");
        void door.shut();
      },
    });
    strangers.add(carry);
    const silent = setTimeout(() => {
      if (strangers.has(carry)) carry.abandon(new GodwitError("STREAM_NOT_QEMU", { firstBytes: "nothing" }));
    }, STRANGER_MS);
    void carry.outcome.then(({ figures, error }) => {
      clearTimeout(silent);
      strangers.delete(carry);
      if (current !== carry) {
        hooks.log(`turned away a connection: ${error?.message ?? "it closed"}`);
        return;
      }
      current = undefined;
      void door.open().catch((error: Error) => hooks.log(error.message));
      hooks.event({ event: "ended", figures, error: error?.toJSON() ?? null });
      if (error?.exitCode !== EXIT.inDoubt) return;
      inDoubt.add(carry);
      void carry.closed.then(() => {
        inDoubt.delete(carry);
        hooks.event({ event: "letGo" });
      });
    });
  };

  const silence = async (): Promise<void> => {
    clearInterval(progress);
    await door.close();
  };
  const close = async (reason: GodwitError): Promise<void> => {
    await silence();
    const all = [...strangers, ...inDoubt, ...(current ? [current] : [])];
    for (const carry of all) carry.abandon(reason);
    await Promise.all(all.flatMap((carry) => [carry.outcome, carry.closed]));
  };
  const door = new Door(
    { path: options.listen, mode: options.socketMode, group: options.socketGroup },
    accept,
  );
  await door.open();
  const progress = setInterval(() => {
    if (current !== undefined) hooks.event({ event: "progress", figures: current.figures() });
  }, PROGRESS_MS);
  hooks.event({ event: "listening", address: options.listen });

  return {
    address: options.listen,
    order(order) {
      if (order.order === "releaseShut") current?.releaseShut();
      else if (order.order === "slowStream") current?.slowStream(order.ms);
      else if (order.order === "hurryStream") current?.hurryStream();
      else if (order.order === "setBandwidth") current?.setBandwidth(order.bytesPerSec);
      else current?.abandon(GodwitError.fromWire(order.error));
    },
    close,
    async retire(reason) {
      await silence();
      const last = current;
      if (!last?.targetMayRun) return close(reason);
      hooks.log(`${reason.message}, but the target may run already: this migration is carried to its end`);
      await last.outcome;
    },
  };
}
