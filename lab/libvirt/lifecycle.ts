import { spawn } from "node:child_process";
import { once } from "node:events";
import { DOMAIN } from "./domain.ts";
import type { LibvirtHost } from "./host.ts";

const END_MS = 5000;

/** What libvirt tells of the domain's life on one host, such as `Resumed Post-copy`, from now until `stop`. */
export interface Lifecycle {
  stop(): Promise<string[]>;
}

/** Watches with virsh, inside the host, so that it ends with it. */
export function watchLifecycle(host: LibvirtHost): Lifecycle {
  const [program, ...args] = host.argv(host.virsh("event", "--event", "lifecycle", "--loop"));
  const child = spawn(program!, args, { stdio: ["pipe", "pipe", "ignore"], detached: true });
  child.on("error", () => undefined); // told by `stop`, as no events
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  return {
    async stop() {
      if (child.exitCode === null && child.pid !== undefined) {
        const gone = once(child, "close", { signal: AbortSignal.timeout(END_MS) });
        // virsh writes what it has buffered when a signal ends its loop; the group is nsenter and virsh.
        process.kill(-child.pid, "SIGINT");
        await gone;
      }
      const told = said.matchAll(new RegExp(`event 'lifecycle' for domain '?${DOMAIN}'?: (.*)`, "g"));
      return [...told].map((match) => match[1]!.trim());
    },
  };
}
