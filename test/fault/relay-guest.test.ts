/**
 * Goal: whatever dies, differs or interferes while a guest is on its way through bare relays, the failure is named at
 * both ends with the right exit code, and the guest is not lost: it goes on at the source with its memory whole.
 * Method: one real guest per QEMU that must survive a row of failing moves: real QEMUs, `godwit relay` as real processes,
 * faults by signals, by other machines, by strangers and by someone in the middle of the link. After each the source QEMU
 * must run and the guest's own oracle must verify its whole working set again. Then the older QEMU's guest moves in spite
 * of what interferes, and dies in the end.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, GuestOracle, type QemuArtefact } from "../../lab/mod.ts";
import {
  ended,
  move,
  type RigVm,
  startGuest,
  startTarget,
  status,
  until,
  verified,
} from "../../lab/rig/mod.ts";
import type { ErrorCode } from "../../src/errors/mod.ts";
import type { ResolvedSpec } from "../../src/qemu/mod.ts";
import { startLinkProxy } from "../tools/linkProxy.ts";
import { reports, tcp, temporaryFolder } from "../tools/relayCli.ts";
import { held, lay, type RelayPath, running } from "../tools/relayPath.ts";
import { arrivesInSpite } from "./relay-arrivals.ts";

const LIMIT = { timeout: 120_000 };
/** Slow enough that a move of this guest is in its first pass for some seconds. */
const SLOW = 6e6;
const GUEST = { memoryMib: 96, workload: { setMib: 8, pagesPerSec: 200 } };
const { qemus } = artefacts();
const [older] = qemus;
assert.ok(older);

async function capabilities(vm: RigVm, names: readonly string[], state: boolean): Promise<void> {
  await vm.vm.monitor.execute("migrate-set-capabilities", {
    capabilities: [...names, "return-path"].map((capability) => ({
      capability,
      state: state || capability === "return-path",
    })),
  });
}

/** Orders the move; false: this QEMU still takes down channels of the one before. */
async function begun(source: RigVm, path: RelayPath): Promise<boolean> {
  try {
    await source.vm.monitor.execute("migrate", { uri: `unix:${path.path}` });
    return true;
  } catch (error) {
    if (/duplicate yank instance/.test((error as Error).message)) return false;
    throw error;
  }
}

/** A QEMU like `source`'s, but with another machine, that waits for it. */
function startOther(source: RigVm, change: Partial<ResolvedSpec>, qemu: QemuArtefact): Promise<RigVm> {
  const spec = { ...source.vm.spec, ...change };
  return startTarget({ ...source, vm: { ...source.vm, spec } }, qemu, new GuestOracle());
}

for (const qemu of qemus) {
  describe(`${qemu.version}: the guest goes on at the source`, () => {
    const oracle = new GuestOracle();
    let source: RigVm;
    before(async () => {
      source = await startGuest({ qemu, ...GUEST }, oracle);
    }, LIMIT);
    after(() => source?.stop());

    /** The guest was not lost: it runs at the source, and all its memory is what it wrote. */
    async function unharmed(): Promise<void> {
      const info = await ended(source, 30_000);
      assert.equal(info.status, "failed");
      await until(() => running(source), 10_000, "the source to run", oracle);
      await verified(oracle);
      assert.deepEqual(oracle.faults, []);
    }

    /** A slow move; `fault` comes when pages are crossing. The move itself must fail. */
    async function failing(
      to: { vm: RigVm; path: RelayPath; bytesPerSec?: number },
      fault: () => Promise<void> | void,
    ): Promise<void> {
      const { vm, path } = to;
      const moving = move(source, vm, {
        to: `unix:${path.path}`,
        at: `unix:${vm.incoming}`,
        bytesPerSec: to.bytesPerSec ?? SLOW,
        timeoutMs: 40_000,
        during: async () => {
          await fault();
        },
      });
      await assert.rejects(moving, /the migration ended as failed/);
    }

    /** Pages are crossing. */
    async function underWay(): Promise<void> {
      assert.ok(await getsUnderWay(), "and more to come");
    }

    /** False: it failed before. */
    async function getsUnderWay(): Promise<boolean> {
      const sent = async () => (await source.vm.monitor.execute("query-migrate")).ram?.normal ?? 0;
      const failed = async () => (await status(source)) === "failed";
      await until(async () => (await failed()) || (await sent()) > 500, 20_000, "pages to cross", oracle);
      return (await status(source)) === "active";
    }

    /** One failing move to a target of its own, and how each relay must end. */
    async function attempt(
      given: {
        change?: Partial<ResolvedSpec>;
        sourceFlags?: string[];
        targetFlags?: string[];
        bytesPerSec?: number;
        via?: (to: string) => Promise<string>;
      },
      fault: (path: RelayPath, vm: RigVm) => Promise<void> | void,
      outcome: (path: RelayPath, vm: RigVm) => Promise<unknown>,
    ): Promise<void> {
      using folder = temporaryFolder();
      await using stack = new AsyncDisposableStack();
      const vm = given.change
        ? await startOther(source, given.change, qemu)
        : await startTarget(source, qemu, new GuestOracle());
      stack.defer(() => vm.stop());
      const path = await lay(stack, { folder: folder.path, forward: vm.incoming, ...given });
      await failing({ vm, path, ...given }, () => fault(path, vm));
      await outcome(path, vm);
      await unharmed();
    }

    function both(path: RelayPath, code: ErrorCode, says: RegExp): Promise<unknown> {
      return Promise.all([path.source.fails(code, says), path.target.fails(code, says)]);
    }

    /** A target QEMU that refuses what it is given closes its connection; newer ones may say why first, with SHUT. */
    async function refused(path: RelayPath, places: string): Promise<void> {
      await Promise.all([path.source.exit, path.target.exit]);
      const load = /The target QEMU could not load the guest \(status 1\)/;
      for (const relay of [path.source, path.target]) {
        if (load.test(relay.stderr)) await relay.fails("TARGET_LOAD_FAILED", load);
        else
          await relay.fails(
            "TARGET_QEMU_GONE",
            new RegExp(`target QEMU closed its connection during (${places})`),
          );
      }
    }

    test("memory of the target differs", LIMIT, () =>
      attempt({ change: { memory: "160MiB" } }, nothing, (path) => refused(path, "memory")),
    );

    if (qemu === older)
      test("the target is another machine", LIMIT, () =>
        attempt({ change: { machine: "pc" } }, nothing, (path) => refused(path, "setup|memory")),
      );

    test("the target QEMU is killed", LIMIT, () =>
      attempt(
        {},
        async (_path, { vm }) => {
          await underWay();
          process.kill(vm.process!.pid, "SIGKILL");
        },
        async (path) => {
          await both(path, "TARGET_QEMU_GONE", /target QEMU closed its connection during memory/);
          const [report] = reports(readFileSync(path.report, "utf8"));
          assert.equal(report?.error?.code, "TARGET_QEMU_GONE");
          assert.equal(report?.status, "aborted");
        },
      ),
    );

    test("the target relay is killed: the source waits as long as it was told, then gives up", LIMIT, () =>
      attempt(
        { sourceFlags: ["--reconnect-for", "1s"] },
        async (path) => {
          await underWay();
          path.target.signal("SIGKILL");
        },
        async (path) => {
          await path.source.fails(
            "LINK_LOST",
            /link to 127\.0\.0\.1:\d+ was lost and did not come back within 1\d{3} ms/,
          );
          await path.target.exit;
        },
      ),
    );

    test("the source relay is killed: the guest goes on at once, the target gives up", LIMIT, () =>
      attempt(
        { targetFlags: ["--reconnect-for", "1s"] },
        async (path) => {
          await underWay();
          path.source.signal("SIGKILL");
        },
        async (path, vm) => {
          await path.target.fails("LINK_LOST", /was lost and did not come back within 1\d{3} ms/);
          await vm.vm.monitor.closed; // a stream that was cut is never taken for a whole one
          await path.source.exit;
        },
      ),
    );

    // To QEMU it is as when a relay is killed, or another loses its link: one QEMU will do.
    for (const side of qemu === older ? (["source", "target"] as const) : []) {
      test(`the ${side} relay is told to end`, LIMIT, () =>
        attempt(
          {},
          async (path) => {
            await underWay();
            path[side].signal(side === "source" ? "SIGINT" : "SIGTERM");
          },
          async (path) => {
            await both(path, "INTERRUPTED", /Ended by SIG(INT|TERM)/);
            assert.ok(!existsSync(path.path));
          },
        ),
      );
    }

    test("someone in the middle changes pages: the proof fails, the target never starts", LIMIT, async () => {
      await using stack = new AsyncDisposableStack();
      let damaged = () => 0;
      await attempt(
        {
          bytesPerSec: 0,
          // Pages in the clear, so that a changed byte is a changed page and no broken frame.
          sourceFlags: ["--engine", "plain"],
          via: async (to) => {
            const proxy = await startLinkProxy(tcp(to), { damage: 40 });
            stack.defer(() => proxy.close());
            damaged = proxy.damaged;
            return proxy.address;
          },
        },
        nothing,
        async (path, vm) => {
          assert.equal(damaged(), 40);
          await both(
            path,
            "DIGEST_MISMATCH",
            /Memory differs after \d+ pages: digest \w+ at the source, \w+ at the target/,
          );
          const [report] = reports(readFileSync(path.report, "utf8"));
          assert.equal(report?.equal, false);
          assert.equal(report?.status, "aborted");
          await vm.vm.monitor.closed;
        },
      );
    });

    for (const capability of ["multifd", "postcopy-preempt"] as const) {
      test(`${capability} opens more than one connection: named, and refused`, LIMIT, async () => {
        using folder = temporaryFolder();
        await using stack = new AsyncDisposableStack();
        const target = await startTarget(source, qemu, new GuestOracle());
        stack.defer(() => target.stop());
        const path = await lay(stack, { folder: folder.path, forward: target.incoming });
        const on = capability === "multifd" ? [capability] : ["postcopy-ram", capability];
        await capabilities(source, on, true);
        await capabilities(target, on, true);
        const { monitor } = source.vm;
        await target.vm.monitor.execute("migrate-incoming", { uri: `unix:${target.incoming}` });
        await target.vm.monitor.execute("cont");
        await monitor.execute("migrate-set-parameters", { "max-bandwidth": SLOW });
        await until(() => begun(source, path), 20_000, "QEMU to have let go of its channels before", oracle);
        await path.source.said(new RegExp(capability));
        // Newer ones open the second connection when post-copy begins; older ones have failed, or are about to.
        if (capability === "postcopy-preempt" && (await getsUnderWay()))
          await monitor.execute("migrate-start-postcopy");
        await ended(source, 30_000);
        // QEMU 7.2 takes its channels down in the background, and looks at the capability while it does.
        await sleep(1000);
        await capabilities(source, on, false);
        await unharmed();
        assert.ok(!(await running(target).catch(() => false)), "the target never ran");
      });
    }

    test(
      "the link is lost when the target may run: held, and said so, until someone decides",
      LIMIT,
      async () => {
        using folder = temporaryFolder();
        await using stack = new AsyncDisposableStack();
        const target = await startTarget(source, qemu, new GuestOracle());
        stack.defer(() => target.stop());
        const { path, proxy } = await held(stack, folder.path, source, target, ["--reconnect-for", "1s"]);
        await proxy.close();
        await path.source.said(/It is not known whether the target runs the guest.*\n.*\n.*kept open/);
        await path.target.ends(5);
        assert.ok(await running(target), "it had all it needed");
        assert.ok(!(await running(source)), "so the source must not");
        // The way out as it is told: here the target is given up.
        await target.stop();
        path.source.signal("SIGINT");
        await path.source.ends(5);
        await unharmed();
      },
    );

    if (qemu === older) {
      arrivesInSpite({
        ...{ qemu, oracle },
        at: () => source,
        movedTo: (vm) => {
          source = vm;
        },
      });
    }
  });
}

function nothing(): void {}
