/**
 * Goal: an order that concerns the stream does no harm while the link is still being made. Eight moves at once on two
 * cores take the links longer than the agents' orders for post-copy.
 * Method: a source relay in this process, whose target accepts and stays silent; the beginning of a stream; the order.
 * The relay has to keep what has come until there is a link. No QEMU, and no guest is claimed to move.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../src/errors/mod.ts";
import { type RelayEvent, startRelay } from "../../src/relay/mod.ts";

/** How every migration stream begins, and the configuration section of a `pc-q35-7.2`. */
const BEGINNING = Buffer.concat([
  Buffer.from("5145564d00000003", "hex"),
  Buffer.from("070000000b", "hex"),
  Buffer.from("pc-q35-7.2\0", "latin1"),
]);

test("hurryStream before the link is up reads nothing of the stream", async () => {
  const dir = mkdtempSync(join(tmpdir(), "gw-hurry-"));
  const target = net.createServer((socket) => socket.on("error", () => undefined).resume());
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const events: RelayEvent[] = [];
  const listen = join(dir, "q");
  const relay = await startRelay(
    {
      ...{ side: "source", listen, socketMode: 0o600, insecure: false, ticket: "" },
      to: `127.0.0.1:${(target.address() as net.AddressInfo).port}`,
      ...{
        bandwidthBytesPerSec: 0,
        ...{ reconnectForMs: 1000, postcopyReconnectForMs: 0 },
        withholdShut: true,
        engine: "plain" as const,
        pagePolicy: "auto" as const,
        pageCacheBytes: 0,
        pushOrder: "auto" as const,
        poolBytes: 0,
      },
    },
    { event: (event) => void events.push(event), log: () => undefined },
  );
  const qemu = net.connect(listen).on("error", () => undefined);
  try {
    const linked = once(target, "connection");
    qemu.write(BEGINNING);
    const [link] = (await linked) as [net.Socket];
    relay.order({ order: "hurryStream" });
    await sleep(200);
    qemu.write(BEGINNING);
    await sleep(200);
    assert(!events.some(({ event }) => event === "ended" || event === "linkUp"), JSON.stringify(events));
    link.destroy();
  } finally {
    await relay.close(new GodwitError("INTERRUPTED", { signal: "test" }));
    qemu.destroy();
    target.close();
    rmSync(dir, { recursive: true });
  }
});
