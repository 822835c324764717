/** The ways by which a guest can go in the bench of the relay: which processes stand between the two QEMUs. */
import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";
import { forkShaper } from "../../lab/mod.ts";
import { startRelayPair } from "../../lab/rig/mod.ts";
import { copierProgram, startCopier } from "./copier.ts";

/** `copy`: two processes that only copy bytes stand where the relays stand. */
export const WAYS = ["direct", "relay", "copy"] as const;
export type Way = (typeof WAYS)[number];

/** What was set up between source and target QEMU. */
export interface Path {
  /** Where the source QEMU migrates to, and where the target QEMU listens. */
  readonly to: string;
  readonly at: string;
  /** Process ids by name, alive until `close`; those of relays end with their migration. */
  readonly pids: Readonly<Record<string, number>>;
  /** Resolves when nothing of the migration is under way any more; what the relays say of their CPU time. */
  settled(): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

/**
 * @param folder  for sockets
 * @param incoming  unix path for the target QEMU
 * @param bytesPerSec  of the link between the hosts; 0 is loopback as it is
 */
export async function openPath(
  way: Way,
  at: { readonly folder: string; readonly incoming: string; readonly bytesPerSec: number },
): Promise<Path> {
  const stack = new AsyncDisposableStack();
  const pids: Record<string, number> = {};
  /** The link's far end as the near side sees it. */
  const viaLink = async (port: number): Promise<number> => {
    if (at.bytesPerSec === 0) return port;
    const host = "127.0.0.1";
    const shaper = await forkShaper({
      listen: { host, port: 0 },
      to: { host, port },
      bytesPerSec: at.bytesPerSec,
    });
    stack.defer(() => shaper.close());
    pids["shaper"] = shaper.pid;
    return shaper.address.port;
  };
  const unix = `unix:${at.incoming}`;
  const close = () => stack.disposeAsync();
  try {
    if (way === "direct") {
      const port = await freePort();
      const to = `tcp:127.0.0.1:${await viaLink(port)}`;
      return { to, at: `tcp:127.0.0.1:${port}`, pids, settled: async () => ({}), close };
    }
    if (way === "copy") {
      const program = await copierProgram();
      if (program === null) throw new Error("no C compiler for the copier: whoever asks for it looks first");
      const listen = join(at.folder, "out.sock");
      const far = await startCopier(program, 0, at.incoming);
      stack.defer(() => far.stop());
      const near = await startCopier(program, listen, await viaLink(far.port));
      stack.defer(() => near.stop());
      pids["near"] = near.pid;
      pids["far"] = far.pid;
      return { to: `unix:${listen}`, at: unix, pids, settled: async () => ({}), close };
    }
    const relays = await startRelayPair({
      folder: at.folder,
      incoming: at.incoming,
      via: async (address) => `127.0.0.1:${await viaLink(Number(address.split(":")[1]))}`,
    });
    stack.defer(() => relays.stop());
    pids["near"] = relays.source.process.pid!;
    pids["far"] = relays.target.process.pid!;
    const settled = async () => {
      const [source, target] = await Promise.all([relays.source.ended, relays.target.ended]);
      for (const { error, figures } of [source, target])
        if (error !== null || figures.equal !== true) throw new Error(`a relay: ${error ?? "no proof"}`);
      const { cpuMs } = source.figures;
      return { near: cpuMs.source ?? Number.NaN, far: cpuMs.target ?? Number.NaN };
    };
    return { to: relays.to, at: unix, pids, settled, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
