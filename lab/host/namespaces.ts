import { spawnSync } from "node:child_process";
import { GodwitError } from "../../src/errors/mod.ts";
import { atEnd } from "./guard.ts";

export interface Namespaces<Name extends string> {
  /** The command that runs `command` in there. It stays one process: whoever starts it has the pid of `command`. */
  argv(name: Name, command: readonly string[]): string[];
  /** Commands of ip(8), one a line, in that namespace. @throws SETUP_FAILED with the line that failed */
  ip(name: Name, lines: readonly string[]): void;
  /** The namespace's name for the system. */
  id(name: Name): string;
  close(): void;
}

let made = 0;

/** Whether this process may make network namespaces. Root inside a container often may not: asked by trying. */
export function canMakeNamespaces(): boolean {
  if (process.getuid?.() !== 0) return false;
  const probe = `gw${process.pid}-probe`;
  const possible = spawnSync("ip", ["netns", "add", probe]).status === 0;
  if (possible) spawnSync("ip", ["netns", "delete", probe]);
  return possible;
}

/**
 * Makes one network namespace per name, with loopback up and nothing else. Their system names carry this process's
 * pid, so that labs side by side do not meet. They go away at `close()`, and also when the process ends or is
 * interrupted. A namespace lives as long as its last process, though:
 *
 * @param options.evict  true: processes that are still inside are killed at the end. Else they are their owner's matter.
 * @throws SETUP_FAILED naming the command, and then nothing is left
 */
export function openNamespaces<Name extends string>(
  names: readonly Name[],
  options: { readonly evict?: boolean } = {},
): Namespaces<Name> {
  const tag = `gw${process.pid}-${made++}`;
  const id = (name: Name): string => `${tag}-${name}`;
  const run = (name: Name, lines: readonly string[]): void => ip(["-n", id(name), "-batch", "-"], lines);
  const close = (): void => {
    takeBack();
    for (const name of names) {
      if (options.evict) evict(id(name));
      spawnSync("ip", ["netns", "delete", id(name)]); // fails for those that were never made
    }
  };
  const takeBack = atEnd(close);
  try {
    for (const name of names) {
      ip(["netns", "add", id(name)]);
      run(name, ["link set lo up"]);
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    id,
    close,
    ip: run,
    argv: (name, command) => ["ip", "netns", "exec", id(name), ...command],
  };
}

function ip(args: readonly string[], lines?: readonly string[]): void {
  const input = lines === undefined ? {} : { input: lines.join("\n") };
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8", ...input });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim();
  // "Command failed -:3" is how ip names the line
  const line = lines?.[Number(/Command failed -:(\d+)/.exec(reason)?.[1] ?? Number.NaN) - 1];
  const command = line === undefined ? args.join(" ") : `${args.slice(0, -2).join(" ")} ${line}`;
  throw new GodwitError("SETUP_FAILED", { command: `ip ${command}`, reason });
}

function evict(space: string): void {
  const { stdout } = spawnSync("ip", ["netns", "pids", space], { encoding: "utf8" });
  for (const word of (stdout ?? "").split("\n").filter(Boolean)) {
    try {
      process.kill(Number(word), "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended by itself
    }
  }
}
