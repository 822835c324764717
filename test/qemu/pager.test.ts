/**
 * Goal: in post-copy the relays are the guest's pager. Each page that was missing at the switch reaches the target exactly
 * once, whatever the order of pushes and however small the pool, the source QEMU is completed before the target has
 * everything, and the guest's memory is right.
 * Method: one real guest goes from QEMU to QEMU through real relays, again and again, over a link so slow that its faults
 * overtake the pushes; its own oracle verifies its working set after each move, and the relays' accounts are read.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
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
import type { PushOrderName } from "../../src/paging/mod.ts";
import type { RelayFigures } from "../../src/relay/mod.ts";

const LIMIT = { timeout: 120_000 };
/** A second or two for what is missing: faults come long before the end. */
const LINK_BYTES_PER_SEC = 24e6;
const MIB = 2 ** 20;

const QEMUS = artefacts().qemus;

for (const qemu of QEMUS) {
  const newest = qemu === QEMUS.at(-1);
  describe(`the pager, QEMU ${qemu.version}`, () => {
    const oracle = new GuestOracle();
    let home: RigVm;
    before(async () => {
      const workload = { setMib: 4, pagesPerSec: 2000, mode: "words" } as const;
      home = await startGuest({ qemu, memoryMib: 96, workload }, oracle);
    }, LIMIT);
    after(() => home?.stop());

    // The others differ in what they choose alone: test/property/paging.test.ts.
    const orders: readonly PushOrderName[] = newest ? ["auto", "demand", "bubbles"] : ["auto"];
    for (const pushOrder of orders) {
      test(`pushes by ${pushOrder}`, LIMIT, async () => {
        const figures = await moved({ pushOrder });
        const paging = figures.paging!;
        assert.equal(paging.order, pushOrder);
        assert.equal(paging.answered + paging.pushed, paging.outstanding, "each page once");
        assert.ok(paging.outstanding > 1024, `${paging.outstanding} pages`);
        assert.ok(paging.answered > 0, "the guest waited for pages");
        assert.ok(paging.faultTimes!.count > 0 && paging.drainMs !== null);
      });
    }

    test("a pool much smaller than what is missing", LIMIT, async () => {
      const { paging } = await moved({ poolBytes: 2 * MIB });
      assert.equal(paging!.answered + paging!.pushed, paging!.outstanding);
      assert.ok(paging!.poolBytesMax <= 2 * MIB, `${paging!.poolBytesMax} bytes`);
    });

    if (!newest) return;
    test("after a pass, pages are made from what the target had", LIMIT, async () => {
      const { paging, engine } = await moved({ passes: 1 });
      assert.equal(paging!.answered + paging!.pushed, paging!.outstanding);
      assert.ok(engine!.forms.delta.pages > 0, "deltas against what crossed before the switch");
    });

    test("without a pool QEMU serves its guest itself", LIMIT, async () => {
      const { paging, faults } = await moved({ poolBytes: 0 });
      assert.equal(paging, null);
      assert.ok(faults > 0);
    });

    test("the source QEMU is completed while the target still lacks pages", LIMIT, async () => {
      let lacking = 0;
      await moved({}, async (source, figures) => {
        await until(async () => (await status(source)) === "completed", 60_000, "the source to be completed");
        const { answered, pushed, outstanding } = figures().paging!;
        lacking = outstanding - answered - pushed;
      });
      assert.ok(lacking > 0, "it was completed only with the last page");
    });

    /** Moves the guest once in post-copy; its memory and the digests are right when this returns. */
    async function moved(
      how: { readonly pushOrder?: PushOrderName; readonly poolBytes?: number; readonly passes?: number },
      during?: (source: RigVm, figures: () => RelayFigures) => Promise<void>,
    ): Promise<RelayFigures> {
      const source = home;
      await using stack = new AsyncDisposableStack();
      const target = await startTarget(source, qemu, oracle);
      stack.defer(() => (home === target ? source : target).stop());
      const relays = await startRelayPair({
        ...{ folder: source.dir, incoming: target.incoming, engine: "auto", ...how },
        bandwidthBytesPerSec: LINK_BYTES_PER_SEC,
      });
      stack.defer(() => relays.stop());
      const figures = (): RelayFigures => {
        const told = relays.source.events.findLast((event) => event.event === "progress");
        assert.ok(told?.event === "progress", "the source relay tells its progress");
        return told.figures;
      };
      await move(source, target, {
        to: relays.to,
        at: `unix:${target.incoming}`,
        postcopy: true,
        ...(how.passes !== undefined && { afterPasses: how.passes, downtimeLimitMs: 1 }),
        during: () => during?.(source, figures),
      });
      home = target;
      const [atSource, atTarget] = await Promise.all([relays.source.ended, relays.target.ended]);
      await verified(oracle);
      assert.deepEqual(oracle.faults, []);
      assert.equal(atSource.error, null);
      assert.equal(atTarget.error, null);
      assert.equal(atSource.figures.equal, true, "both digests agree");
      return atSource.figures;
    }
  });
}
