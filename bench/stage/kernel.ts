import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { GodwitError } from "../../src/errors/mod.ts";

/** What a socket may hold, as time at the link's rate. */
const SOCKET_MS = 20;
const SOCKET_BYTES_MIN = 128 << 10;
/** Linux's own upper bounds: more is never given. */
const SEND_BYTES_MAX = 4 << 20;
const RECEIVE_BYTES_MAX = 6 << 20;

/**
 * Sets the kernel of one namespace up as a host behind such a link.
 *
 * Sockets to the shaper are on loopback, where TCP finds an endless bandwidth and buffers megabytes: seconds of a
 * slow link, which no real sender would have under way. So they hold what the link carries in 20 ms; what is on the
 * line itself waits in the shaper. And bridges do not ask the packet filter, as br_netfilter would have them do.
 */
export function tuneNamespace(
  argv: (command: readonly string[]) => string[],
  bytesPerSec: number | null,
): void {
  const settings: [path: string, value: string][] = [["net/bridge/bridge-nf-call-iptables", "0"]];
  settings.push(["net/bridge/bridge-nf-call-ip6tables", "0"], ["net/bridge/bridge-nf-call-arptables", "0"]);
  if (bytesPerSec !== null) {
    // the kernel counts its own overhead to what a socket holds: about as much again as the payload
    const hold = Math.max(SOCKET_BYTES_MIN, Math.round((2 * bytesPerSec * SOCKET_MS) / 1000));
    const send = Math.min(SEND_BYTES_MAX, hold);
    const receive = Math.min(RECEIVE_BYTES_MAX, hold);
    settings.push(["net/ipv4/tcp_wmem", `4096 16384 ${send}`]);
    settings.push(["net/ipv4/tcp_rmem", `4096 ${Math.min(131072, receive)} ${receive}`]);
  }
  const lines = settings
    .map(([path, value]) => [`/proc/sys/${path}`, value] as const)
    .filter(([path]) => existsSync(path)) // without the module br_netfilter there is nothing to turn off
    .map(([path, value]) => `echo ${value} > ${path}`);
  const [program, ...args] = argv(["sh", "-ec", lines.join("\n")]);
  const { status, stderr, error } = spawnSync(program!, args, { encoding: "utf8" });
  if (status !== 0)
    throw new GodwitError("SETUP_FAILED", {
      command: lines.join("; "),
      reason: error?.message ?? stderr.trim(),
    });
}
