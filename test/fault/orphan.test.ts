/**
 * Goal: relays whose agents die undo the move while it can be undone, and in post-copy carry it to its end.
 * Method: real guest and relay processes as an agent forks them; the IPC channels of both close in the middle. Then which
 * QEMU runs, and the guest's oracle. The guest that stayed is the one that goes.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, GuestOracle } from "../../lab/mod.ts";
import {
  move,
  type RigVm,
  startGuest,
  startRelayPair,
  startTarget,
  status,
  until,
  verified,
} from "../../lab/rig/mod.ts";

const qemu = artefacts().qemus[0]!;
const oracle = new GuestOracle();
let source: RigVm;
before(async () => {
  const workload = { setMib: 16, pagesPerSec: 200 };
  source = await startGuest({ qemu, memoryMib: 128, workload }, oracle);
});
after(() => source?.stop());

for (const postcopy of [false, true]) {
  test(`agents die in ${postcopy ? "post-copy" : "pre-copy"}`, { timeout: 120_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const target = await startTarget(source, qemu, oracle);
    stack.defer(() => target.stop());
    const relays = await startRelayPair({
      folder: source.dir,
      incoming: target.incoming,
      bandwidthBytesPerSec: 25e6,
      withholdShut: true,
    });
    stack.defer(() => relays.stop());

    let during = "";
    const moved = move(source, target, {
      to: relays.to,
      at: `unix:${target.incoming}`,
      postcopy,
      during: async () => {
        const loaded = () => relays.source.events.some(({ event }) => event === "packageLoaded");
        if (postcopy) await until(loaded, 20_000, "the package", oracle);
        await sleep(500);
        during = await status(source);
        relays.source.process.disconnect();
        relays.target.process.disconnect();
      },
    });
    if (postcopy) assert.equal((await moved).info.status, "completed");
    else await assert.rejects(moved, /failed/);
    assert.equal(during, postcopy ? "postcopy-active" : "active", "they died in the middle");
    if (!postcopy) assert.equal((await source.vm.monitor.execute("query-status")).running, true);
    await verified(oracle);
    assert.deepEqual(oracle.faults, []);
  });
}
