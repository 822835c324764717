import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { EngineName, PolicyName } from "../../src/pages/mod.ts";
import type { PushOrderName } from "../../src/paging/mod.ts";
import {
  RELAY_ENVIRONMENT,
  RELAY_FLAGS,
  type RelayEvent,
  type RelayFigures,
  type RelayOptions,
  type RelayOrder,
} from "../../src/relay/mod.ts";

const CHILD = join(import.meta.dirname, "../../src/relay/child.ts");

/** A relay in a process of its own, as an agent starts it. */
export interface RigRelay {
  readonly process: ChildProcess;
  readonly address: string;
  readonly events: RelayEvent[];
  order(order: RelayOrder): void;
  /** Resolves with the last event, or an error when the process died without one. */
  readonly ended: Promise<{ figures: RelayFigures; error: string | null }>;
  stop(): Promise<void>;
}

/** Starts a relay process; resolves when it listens. */
export async function startRigRelay(options: RelayOptions): Promise<RigRelay> {
  const env = { ...process.env, ...RELAY_ENVIRONMENT };
  const execArgv = [...RELAY_FLAGS];
  const child = fork(CHILD, { env, execArgv, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const events: RelayEvent[] = [];
  const listening = Promise.withResolvers<string>();
  const ended = Promise.withResolvers<{ figures: RelayFigures; error: string | null }>();
  ended.promise.catch(() => undefined);
  child.on("message", (event: RelayEvent) => {
    events.push(event);
    if (event.event === "listening") listening.resolve(event.address);
    if (event.event === "ended") {
      listening.reject(new Error(event.error?.message ?? "it ended"));
      ended.resolve({ figures: event.figures, error: event.error?.code ?? null });
    }
  });
  child.on("exit", (code, signal) => {
    const error = new Error(`the relay process ended: ${signal ?? code}`);
    listening.reject(error);
    ended.reject(error);
  });
  child.send(options);
  return {
    process: child,
    address: await listening.promise,
    events,
    order: (order) => void child.send(order),
    ended: ended.promise,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    },
  };
}

/** Both relays of one migration on loopback: QEMU migrates to `to`, the target QEMU listens at `incoming`. */
export async function startRelayPair(options: {
  readonly folder: string;
  readonly incoming: string;
  /** Where the source relay connects instead of the target relay itself: a shaper in between. */
  readonly via?: (target: string) => Promise<string>;
  readonly bandwidthBytesPerSec?: number;
  readonly reconnectForMs?: number;
  /** Default 0: without end. */
  readonly postcopyReconnectForMs?: number;
  readonly withholdShut?: boolean;
  /** Default plain. */
  readonly engine?: EngineName;
  readonly pagePolicy?: PolicyName;
  /** Of both sides. Default 64 MiB. */
  readonly pageCacheBytes?: number;
  /** Default auto. */
  readonly pushOrder?: PushOrderName;
  /** Default 256 MiB. */
  readonly poolBytes?: number;
}): Promise<{
  readonly source: RigRelay;
  readonly target: RigRelay;
  readonly to: string;
  stop(): Promise<void>;
}> {
  const reconnectForMs = options.reconnectForMs ?? 30_000;
  const postcopyReconnectForMs = options.postcopyReconnectForMs ?? 0;
  const pageCacheBytes = options.pageCacheBytes ?? 2 ** 26;
  const target = await startRigRelay({
    side: "target",
    listen: "127.0.0.1:0",
    forward: options.incoming,
    insecure: false,
    pageCacheBytes,
    ...{ reconnectForMs, postcopyReconnectForMs },
    ticket: "rig",
  });
  const listen = join(options.folder, "out.sock");
  const source = await startRigRelay({
    side: "source",
    listen,
    socketMode: 0o600,
    to: options.via ? await options.via(target.address) : target.address,
    insecure: false,
    bandwidthBytesPerSec: options.bandwidthBytesPerSec ?? 0,
    engine: options.engine ?? "plain",
    pagePolicy: options.pagePolicy ?? "auto",
    pageCacheBytes,
    pushOrder: options.pushOrder ?? "auto",
    poolBytes: options.poolBytes ?? 2 ** 28,
    ...{ reconnectForMs, postcopyReconnectForMs },
    withholdShut: options.withholdShut ?? false,
    ticket: "rig",
  });
  return {
    source,
    target,
    to: `unix:${listen}`,
    async stop() {
      await Promise.all([source.stop(), target.stop()]);
    },
  };
}
