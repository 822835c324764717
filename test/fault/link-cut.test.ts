/**
 * Goal: a link that is cut for 2 s in the middle of a move costs time, never the move: both QEMUs stay unaware.
 * Method: real guest, real relays, our shaper between them at a rate that keeps the move under way long enough; the cut
 * closes connections (reset) or swallows everything silently (blackhole). Then the guest's oracle.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, type CutManner, GuestOracle, startShaper } from "../../lab/mod.ts";
import { move, startGuest, startRelayPair, startTarget, status, until, verified } from "../../lab/rig/mod.ts";

const CUT_MS = 2000;
const { qemus } = artefacts();
const cases: { manner: CutManner; postcopy: boolean; qemu: (typeof qemus)[number] }[] = qemus.flatMap(
  (qemu) => [
    { manner: "reset" as const, postcopy: false, qemu },
    { manner: "reset" as const, postcopy: true, qemu },
  ],
);
cases.push({ manner: "blackhole", postcopy: false, qemu: qemus[0]! });
cases.push({ manner: "blackhole", postcopy: true, qemu: qemus[0]! });

for (const { manner, postcopy, qemu } of cases) {
  const kind = postcopy ? "post-copy" : "pre-copy";
  test(`${qemu.version}: ${manner} of ${CUT_MS} ms in the middle of ${kind}`, {
    timeout: 180_000,
  }, async () => {
    const oracle = new GuestOracle();
    await using stack = new AsyncDisposableStack();
    const guest = { qemu, memoryMib: 192, workload: { setMib: 32, pagesPerSec: 200 } };
    const source = await startGuest(guest, oracle);
    stack.defer(() => source.stop());
    const target = await startTarget(source, qemu, oracle);
    stack.defer(() => target.stop());
    let cut = (): void => assert.fail("the shaper is not there yet");
    const relays = await startRelayPair({
      folder: source.dir,
      incoming: target.incoming,
      via: async (address) => {
        const [host, port] = address.split(":");
        const shaper = await startShaper({
          listen: { host: "127.0.0.1", port: 0 },
          to: { host: host!, port: Number(port) },
          bytesPerSec: 15e6,
        });
        stack.defer(() => shaper.close());
        cut = () => shaper.cut(CUT_MS, manner);
        return `127.0.0.1:${shaper.address.port}`;
      },
    });
    stack.defer(() => relays.stop());

    const at = `unix:${target.incoming}`;
    let during = "";
    const moved = await move(source, target, {
      to: relays.to,
      at,
      postcopy,
      during: async () => {
        if (postcopy)
          await until(async () => (await status(source)) === "postcopy-active", 10_000, "post-copy", oracle);
        await sleep(1000);
        during = await status(source);
        cut();
      },
    });
    const { figures, error } = await relays.source.ended;
    await verified(oracle);

    assert.equal(during, postcopy ? "postcopy-active" : "active", "the cut came in the middle");
    assert.equal(error, null);
    assert.equal(figures.equal, true);
    assert.equal(moved.info.status, "completed");
    if (manner === "reset") assert.ok(figures.reconnects >= 1, "the link was lost, and came back");
    assert.deepEqual(oracle.faults, []);
  });
}
