/**
 * Goal: a real guest crosses through the two relays with nothing lost, as with any orchestrator that migrates over a unix
 * socket: both QEMU versions and from one to the other, pre-copy and post-copy, with and without return path.
 * Method: real QEMUs and real relay processes on loopback; one guest per version goes from QEMU to QEMU, and its own
 * oracle verifies its whole working set after each move; page counts of the relays are compared with what QEMU reports.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { artefacts, GuestOracle, type QemuArtefact } from "../../lab/mod.ts";
import { move, type RigVm, startGuest, startRelayPair, startTarget, verified } from "../../lab/rig/mod.ts";

const LIMIT = { timeout: 120_000 };
const { qemus } = artefacts();
const [older, newer] = qemus;

for (const qemu of qemus) {
  describe(`a guest of QEMU ${qemu.version}`, () => {
    const oracle = new GuestOracle();
    let home: RigVm;
    before(async () => {
      home = await startGuest({ qemu, memoryMib: 128, workload: { setMib: 16 } }, oracle);
    }, LIMIT);
    after(() => home?.stop());

    /** One move to a new QEMU, through relays of its own; the guest is there afterwards. */
    async function crossing(how: {
      to: QemuArtefact;
      postcopy: boolean;
      returnPath: boolean;
    }): Promise<void> {
      const source = home;
      await using stack = new AsyncDisposableStack();
      const target = await startTarget(source, how.to, oracle);
      stack.defer(() => (home === target ? source : target).stop());
      const relays = await startRelayPair({ folder: source.dir, incoming: target.incoming });
      stack.defer(() => relays.stop());

      const at = `unix:${target.incoming}`;
      const { postcopy, returnPath } = how;
      const moved = await move(source, target, { to: relays.to, at, postcopy, returnPath });
      home = target;
      const [atSource, atTarget] = await Promise.all([relays.source.ended, relays.target.ended]);
      await verified(oracle);

      assert.equal(atSource.error, null);
      assert.equal(atTarget.error, null);
      assert.equal(atSource.figures.equal, true, "both digests agree");
      assert.equal(atTarget.figures.equal, true, "both digests agree");
      assert.equal(atSource.figures.postcopy, postcopy);
      const { zero, raw, sent } = atSource.figures.pages;
      assert.deepEqual({ zero, raw }, { zero: moved.info.ram?.duplicate, raw: moved.info.ram?.normal });
      assert.deepEqual(atTarget.figures.pages, atSource.figures.pages);
      assert.equal(sent, zero + raw);
      assert.ok((atSource.figures.rssBytes.source ?? Infinity) < 200e6, "a relay stays under 200 MB");
      assert.ok((atSource.figures.rssBytes.target ?? Infinity) < 200e6, "a relay stays under 200 MB");
      assert.deepEqual(oracle.faults, []);
    }

    test("crosses in pre-copy", LIMIT, () => crossing({ to: qemu, postcopy: false, returnPath: true }));
    test("crosses in post-copy", LIMIT, () => crossing({ to: qemu, postcopy: true, returnPath: true }));
    test("crosses in pre-copy without a return path", LIMIT, () =>
      crossing({ to: qemu, postcopy: false, returnPath: false }),
    );
    if (qemu === older && newer !== undefined) {
      // Its machine, "q35", was made the versioned type of the older QEMU, which the newer one has, too.
      test(`crosses to QEMU ${newer.version}`, LIMIT, () =>
        crossing({ to: newer, postcopy: false, returnPath: true }),
      );
    }
  });
}
