import { spawnSync } from "node:child_process";
import { GodwitError } from "../../src/errors/mod.ts";

export interface LabHost {
  readonly name: "source" | "target";
  /** Where the other host reaches it. */
  readonly address: string;
  /** The command that runs `command` on this host: `spawn(argv[0], argv.slice(1))`. */
  argv(command: readonly string[]): string[];
}

export interface LabHosts {
  readonly source: LabHost;
  readonly target: LabHost;
  /** True: two network namespaces; false: both on loopback, for want of rights. */
  readonly apart: boolean;
  close(): void;
}

/** Open pairs of this process, for the last resort at its end. */
const open = new Set<() => void>();
let guarded = false;
let made = 0;

/**
 * Two lab hosts. With root: two network namespaces joined by a veth, addresses inside them only, so the system's own
 * network is not touched. Else two names for loopback. They go away at `close()`, and also when the process ends or
 * is interrupted; processes inside must be ended by their owner, for a namespace lives as long as its last process.
 *
 * @param options.loopback  true: loopback even with root
 */
export function openLabHosts(options: { readonly loopback?: boolean } = {}): LabHosts {
  const apart = options.loopback !== true && process.getuid?.() === 0 && canMakeNamespaces();
  if (!apart) {
    const host = (name: LabHost["name"]): LabHost => ({
      name,
      address: "127.0.0.1",
      argv: (command) => [...command],
    });
    return { source: host("source"), target: host("target"), apart, close: () => {} };
  }
  guardExit();
  const tag = `gw${process.pid}-${made++}`;
  // a name of an interface has room for 15 characters, and inside a namespace it need not be unique
  const spaces = { source: `${tag}-source`, target: `${tag}-target` } as const;
  const addresses = { source: "10.83.0.1", target: "10.83.0.2" } as const;
  const close = (): void => {
    open.delete(close);
    for (const space of Object.values(spaces)) spawnSync("ip", ["netns", "delete", space]);
  };
  open.add(close);
  try {
    for (const space of Object.values(spaces)) ip("netns", "add", space);
    const pair = ["type", "veth", "peer", "name", "lab0", "netns", spaces.target];
    ip("-n", spaces.source, "link", "add", "lab0", ...pair);
    for (const side of ["source", "target"] as const) {
      ip("-n", spaces[side], "address", "add", `${addresses[side]}/24`, "dev", "lab0");
      ip("-n", spaces[side], "link", "set", "lo", "up");
      ip("-n", spaces[side], "link", "set", "lab0", "up");
    }
  } catch (error) {
    close();
    throw error;
  }
  const host = (name: LabHost["name"]): LabHost => ({
    name,
    address: addresses[name],
    argv: (command) => ["ip", "netns", "exec", spaces[name], ...command],
  });
  return { source: host("source"), target: host("target"), apart, close };
}

/** Root inside a container often may not; asked once by trying. */
function canMakeNamespaces(): boolean {
  const probe = `gw${process.pid}-probe`;
  const possible = spawnSync("ip", ["netns", "add", probe]).status === 0;
  if (possible) spawnSync("ip", ["netns", "delete", probe]);
  return possible;
}

function ip(...args: string[]): void {
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim();
  throw new GodwitError("SETUP_FAILED", { command: `ip ${args.join(" ")}`, reason });
}

/** Whatever ends this process but SIGKILL, the namespaces go with it. */
function guardExit(): void {
  if (guarded) return;
  guarded = true;
  process.on("exit", () => {
    for (const close of [...open]) close();
  });
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    process.on(signal, () => {
      // with a handler of the program's own, that one decides when to end; alone, this is the default
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });
  }
}
