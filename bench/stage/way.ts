import { forkShaper, type LabHost } from "../../lab/mod.ts";
import type { LinkShape } from "../../src/bench/mod.ts";
import type { Way } from "../types.ts";
import { interfaceBytesOf } from "./interface.ts";
import { allPorts, type Ports } from "./ports.ts";

export interface OpenWayOptions {
  readonly near: LabHost;
  readonly far: LabHost;
  readonly ports: Ports;
  readonly link: LinkShape;
  /** Of the near host, towards the far one; null: not apart. */
  readonly ifname: string | null;
}

/** Of loopback, as the near host sees it, so that the port numbers can be the far host's own. */
export const SHAPED_ADDRESS = "127.0.0.2";

/** Opens the shaped way from `near` to `far`. @throws Error when a port is taken */
export async function openWay(options: OpenWayOptions): Promise<Way & { close(): Promise<void> }> {
  const { near, far, ports, ifname } = options;
  const { bytesPerSec, latencyMs, jitterMs } = options.link;
  const [first, ...more] = allPorts(ports).map((port) => ({
    listen: { host: SHAPED_ADDRESS, port },
    to: { host: far.address, port },
  }));
  const rate = bytesPerSec === null ? {} : { bytesPerSec };
  const shaper = await forkShaper({ ...first!, more, ...rate, latencyMs, jitterMs }, near);
  // the shaper lives in the near host's namespace, so the kernel shows that one's interfaces under its pid
  const counters = () => (ifname === null ? null : interfaceBytesOf(shaper.pid, ifname));
  const before = counters();
  return {
    address: SHAPED_ADDRESS,
    ports,
    async wireBytes() {
      const { forwardBytes, backwardBytes } = await shaper.stats();
      return { forward: forwardBytes, backward: backwardBytes };
    },
    interfaceBytes() {
      const now = counters();
      if (now === null || before === null) return null;
      return { forward: now.sent - before.sent, backward: now.received - before.received };
    },
    close: () => shaper.close(),
  };
}
