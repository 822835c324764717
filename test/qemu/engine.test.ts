/**
 * Goal: a real guest crosses by the coding engine with nothing lost and far fewer bytes, with any size of page store; a base
 * that the target lacks is asked for again; hashes that collide are told apart by content, and where content is not looked
 * at, by the digest: then the guest goes on at the source.
 * Method: real QEMUs and relay processes with a link of 100 Mbit; a guest that writes a few words per page goes from QEMU to
 * QEMU; its oracle verifies its whole working set after each move. Bases are lost and hashes collide by the relays' test hooks.
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
import type { RelayFigures } from "../../src/relay/mod.ts";

const LIMIT = { timeout: 120_000 };
const LINK_BYTES_PER_SEC = 12.5e6;
const MIB = 2 ** 20;
/**
 * Of a relay, without its page store. Measured 125 to 129 MB at the source and 117 to 128 MB at the target with a guest that
 * writes 4000 pages of text a second, at 100 Mbit; some 45 MB of them are Node's own code.
 */
const RELAY_BYTES = 150e6;
const { qemus } = artefacts();
const newest = qemus.at(-1);

interface Crossing {
  readonly cacheBytes: number;
  /** Sweeps before it may end. */
  readonly passes: number;
  /** Test hooks of the relays. */
  readonly hooks?: Readonly<Record<string, string>>;
  /** The move must fail. */
  readonly fails?: boolean;
}

for (const qemu of qemus) {
  describe(`the coding engine with QEMU ${qemu.version}`, () => {
    const oracle = new GuestOracle();
    let home: RigVm;
    before(async () => {
      const workload = { setMib: 8, pagesPerSec: 1000, mode: "words" } as const;
      home = await startGuest({ qemu, memoryMib: 128, workload }, oracle);
    }, LIMIT);
    after(() => home?.stop());

    /** One move to a new QEMU. @returns what the source relay measured and the code of its error */
    async function crossing(how: Crossing): Promise<{ figures: RelayFigures; error: string | null }> {
      const source = home;
      await using stack = new AsyncDisposableStack();
      const target = await startTarget(source, qemu, oracle);
      stack.defer(() => (home === target ? source : target).stop());
      const pair = { folder: source.dir, incoming: target.incoming, engine: "auto" as const };
      Object.assign(process.env, how.hooks);
      const relays = await startRelayPair({
        ...pair,
        pageCacheBytes: how.cacheBytes,
        bandwidthBytesPerSec: LINK_BYTES_PER_SEC,
      }).finally(() => {
        for (const name of Object.keys(how.hooks ?? {})) delete process.env[name];
      });
      stack.defer(() => relays.stop());

      const { monitor } = source.vm;
      const moved = move(source, target, {
        to: relays.to,
        at: `unix:${target.incoming}`,
        downtimeLimitMs: 1,
        during: async () => {
          const swept = async (): Promise<boolean> => {
            const { status, ram } = await monitor.execute("query-migrate");
            return status === "failed" || (ram?.["dirty-sync-count"] ?? 0) >= how.passes;
          };
          await until(swept, 60_000, `pass ${how.passes}`);
          await monitor.execute("migrate-set-parameters", { "downtime-limit": 1000 });
        },
      });
      if (how.fails) {
        await assert.rejects(moved);
        const ended = await relays.source.ended;
        assert.equal(await status(source), "failed");
        return ended;
      }
      await moved;
      home = target;
      const [atSource, atTarget] = await Promise.all([relays.source.ended, relays.target.ended]);
      await verified(oracle);
      assert.equal(atSource.error, null);
      assert.equal(atTarget.error, null);
      assert.equal(atSource.figures.equal, true, "both digests agree");
      // Two versions that lack their base come as one repair.
      const { sent } = atTarget.figures.pages;
      const given = sent + (atSource.figures.engine?.unchanged ?? 0);
      if (how.hooks === undefined)
        assert.equal(given, atSource.figures.pages.sent, "QEMU is given what QEMU gave, but for what it had");
      assert.deepEqual(oracle.faults, []);
      return atSource;
    }

    test("few bytes cross, most of what is written again as deltas", LIMIT, async () => {
      const { figures } = await crossing({ cacheBytes: 64 * MIB, passes: 5 });
      const { engine, wireBytes, streamBytes, rssBytes } = figures;
      assert.ok(wireBytes.forward < streamBytes * 0.6, `${wireBytes.forward} of ${streamBytes} bytes`);
      assert.ok(engine!.forms.delta.pages > 500, `${engine!.forms.delta.pages} deltas`);
      assert.ok(engine!.packed.bytes < engine!.packed.unpackedBytes);
      for (const [side, rss] of Object.entries(rssBytes))
        assert.ok((rss ?? Infinity) < RELAY_BYTES + 64 * MIB, `${side}: ${rss} bytes resident`);
      for (const [stage, ms] of Object.entries(engine!.stageMs)) assert.ok((ms ?? 0) > 0, stage);
      assert.equal(engine!.cacheBytes, 64 * MIB);
    });

    if (qemu !== newest) return;

    test("a page store of 16 MiB will do", LIMIT, async () => {
      const { figures } = await crossing({ cacheBytes: 16 * MIB, passes: 4 });
      assert.ok(figures.engine!.forms.delta.pages > 0);
      assert.ok(
        (figures.rssBytes.source ?? Infinity) < RELAY_BYTES + 16 * MIB,
        `${figures.rssBytes.source} bytes`,
      );
    });

    test("none will do", LIMIT, async () => {
      const { figures } = await crossing({ cacheBytes: 0, passes: 2 });
      const { delta, same } = figures.engine!.forms;
      assert.equal(delta.pages + same.pages + figures.engine!.unchanged, 0);
    });

    test("bases that the target lacks are asked for again", LIMIT, async () => {
      const hooks = { GODWIT_TEST_LOSE_BASE: "50" };
      // All of the guest: what the store has no room for cannot be sent again, and the source would have to go on.
      const { figures } = await crossing({ cacheBytes: 192 * MIB, passes: 4, hooks });
      assert.ok(figures.engine!.repaired > 0, "pages were sent again");
    });

    test("hashes that collide are told apart by content", LIMIT, async () => {
      const hooks = { GODWIT_TEST_COLLIDE: "6" };
      const { figures } = await crossing({ cacheBytes: 64 * MIB, passes: 2, hooks });
      assert.ok(figures.engine!.forms.same.pages > 0);
    });

    test(
      "where content is not looked at the digest tells, and the guest goes on at the source",
      LIMIT,
      async () => {
        const hooks = { GODWIT_TEST_COLLIDE: "6,blind" };
        const { error, figures } = await crossing({ cacheBytes: 64 * MIB, passes: 3, hooks, fails: true });
        assert.equal(error, "DIGEST_MISMATCH");
        assert.equal(figures.equal, false);
        await verified(oracle);
        assert.deepEqual(oracle.faults, []);
      },
    );
  });
}
