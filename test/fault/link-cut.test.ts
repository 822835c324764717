/**
 * Goal: a link that is cut for 2 s in the middle of a move costs time, never the move: both QEMUs stay unaware.
 * Method: real relays, our shaper between them at a rate that keeps the move under way long enough; the cut closes
 * connections (reset) or swallows everything silently (blackhole). One guest per QEMU goes through one cut after the
 * other, judged by its oracle each time.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, type CutManner, GuestOracle, startShaper } from "../../lab/mod.ts";
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

const CUT_MS = 2000;
/** About three seconds for all of this guest's memory, and the cut comes after less than one. */
const BYTES_PER_SEC = 20e6;
const INTO_THE_MOVE_MS = 600;
const { qemus } = artefacts();

for (const qemu of qemus) {
  describe(`QEMU ${qemu.version}: a cut of ${CUT_MS} ms`, () => {
    const oracle = new GuestOracle();
    let home: RigVm;
    before(async () => {
      const workload = { setMib: 8, pagesPerSec: 200 };
      home = await startGuest({ qemu, memoryMib: 96, workload }, oracle);
    });
    after(() => home?.stop());

    async function survives(manner: CutManner, postcopy: boolean): Promise<void> {
      const source = home;
      await using stack = new AsyncDisposableStack();
      const target = await startTarget(source, qemu, oracle);
      stack.defer(() => (home === target ? source : target).stop());
      let cut = (): void => assert.fail("the shaper is not there yet");
      const relays = await startRelayPair({
        folder: source.dir,
        incoming: target.incoming,
        // In post-copy a link is awaited for another time: without end.
        ...(postcopy && { reconnectForMs: CUT_MS / 4 }),
        via: async (address) => {
          const [host, port] = address.split(":");
          const shaper = await startShaper({
            listen: { host: "127.0.0.1", port: 0 },
            to: { host: host!, port: Number(port) },
            bytesPerSec: BYTES_PER_SEC,
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
          const begun = postcopy ? "postcopy-active" : "active";
          await until(async () => (await status(source)) === begun, 20_000, begun, oracle);
          await sleep(INTO_THE_MOVE_MS);
          during = await status(source);
          cut();
        },
      });
      home = target;
      const { figures, error } = await relays.source.ended;
      await verified(oracle);

      assert.equal(during, postcopy ? "postcopy-active" : "active", "the cut came in the middle");
      assert.ok(moved.totalTimeMs > INTO_THE_MOVE_MS + CUT_MS, "and the move was not over before its end");
      assert.equal(error, null);
      assert.equal(figures.equal, true);
      assert.equal(moved.info.status, "completed");
      if (manner === "reset") assert.ok(figures.reconnects >= 1, "the link was lost, and came back");
      assert.deepEqual(oracle.faults, []);
    }

    const LIMIT = { timeout: 180_000 };
    // QEMU sees nothing of how a line is cut: each manner goes with each strategy, and each QEMU has one of both kinds.
    const newest = qemu === qemus.at(-1);
    const [one, other] = newest ? (["blackhole", "reset"] as const) : (["reset", "blackhole"] as const);
    test(`${one} in pre-copy`, LIMIT, () => survives(one, false));
    test(`${other} in post-copy`, LIMIT, () => survives(other, true));
  });
}
