/**
 * Puts the stand-ins in the place of what src has from Node and from the system. Import this first, and what it applies to by
 * `import()` afterwards. Only importers under src/ are given stand-ins, and outside of a world timers are Node's own.
 */
import { registerHooks } from "node:module";
import "./realTurn.ts";
import { installTimers } from "./timers.ts";

const ROOT = new URL("../../", import.meta.url).href;
const SRC = new URL("../../src/", import.meta.url).href;
const STANDINS = new URL("../standins/", import.meta.url).href;

/** By what they resolve to: Node's own names, or paths under src/. */
const REPLACED: Readonly<Record<string, string>> = {
  "../kernels/mod.ts": "kernels.ts",
  "node:net": "net.ts",
  "node:crypto": "crypto.ts",
  "node:timers/promises": "timersPromises.ts",
  "agent/migrate/peerClient.ts": "peerClient.ts",
  "agent/migrate/precheck.ts": "precheck.ts",
  "agent/migrate/recoverySource.ts": "recoverySource.ts",
  "qemu/process.ts": "process.ts",
  "relay/engine/layout.ts": "layout.ts",
  "relay/engine/packer.ts": "packer.ts",
  "relay/unpack.ts": "unpack.ts",
  "relay/localSocket.ts": "localSocket.ts",
  "relay/recovery/sourceMemory.ts": "sourceMemory.ts",
  "relay/targetMemory.ts": "targetMemory.ts",
  "relay/urgent.ts": "urgent.ts",
};

let installed = false;

/** Once per process; safe to call again. */
export function install(): void {
  if (installed) return;
  installed = true;
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      if (!context.parentURL?.startsWith(SRC)) return resolved;
      const name = nameOf(resolved.url);
      const standin = REPLACED[name];
      return standin === undefined
        ? resolved
        : { ...resolved, url: STANDINS + standin, format: "module-typescript" };
    },
  });
  installTimers();
  // Figures of the process are no business of a world, and cost a system call each.
  const usage = Object.assign(() => MEMORY, { rss: () => 0 });
  Object.defineProperty(process, "memoryUsage", { value: usage, configurable: true });
  Object.defineProperty(process, "cpuUsage", { value: () => ({ user: 0, system: 0 }), configurable: true });
}

function nameOf(url: string): string {
  if (url.startsWith(SRC)) return url.slice(SRC.length);
  return url.startsWith(ROOT) ? `../${url.slice(ROOT.length)}` : url;
}

const MEMORY = { rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 };
