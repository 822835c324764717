/** Of relay-guest.test.ts: the guest that has survived all faults moves in spite of what interferes. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GuestOracle, QemuArtefact } from "../../lab/mod.ts";
import { move, type RigVm, startTarget, status, until, verified } from "../../lab/rig/mod.ts";
import { reports, say, tcp, temporaryFolder } from "../tools/relayCli.ts";
import { held, lay, type RelayPath, running } from "../tools/relayPath.ts";

const LIMIT = { timeout: 120_000 };
/** A move of this guest takes some seconds. */
const SLOW = 6e6;
const HTTP = "GET / HTTP/1.1\r\nHost: relay\r\n\r\n";

export interface ArrivingGuest {
  readonly qemu: QemuArtefact;
  readonly oracle: GuestOracle;
  /** Where it is. */
  at(): RigVm;
  movedTo(vm: RigVm): void;
}

/** Tests after each of which the guest is whole, at the target; in the last one it dies. */
export function arrivesInSpite(guest: ArrivingGuest): void {
  const { qemu, oracle, at, movedTo } = guest;

  /** A target for the guest; the QEMU that does not have it afterwards ends with the stack. */
  async function ready(stack: AsyncDisposableStack): Promise<{ source: RigVm; target: RigVm }> {
    const source = at();
    const target = await startTarget(source, qemu, oracle);
    stack.defer(() => (at() === target ? source : target).stop());
    return { source, target };
  }

  test(
    "strangers, before and during a move; the bandwidth's cap; a disk full for the report",
    LIMIT,
    async () => {
      using folder = temporaryFolder();
      await using stack = new AsyncDisposableStack();
      const { source, target } = await ready(stack);
      let to = "";
      const path = await lay(stack, {
        ...{ folder: folder.path, forward: target.incoming },
        sourceFlags: ["--bandwidth", "240Mbit", "--report", "/dev/full"],
        via: async (address) => {
          to = address;
          return address;
        },
      });
      const silent = [net.connect(path.path), net.connect(tcp(to))];
      for (const socket of silent) stack.defer(() => void socket.on("error", () => undefined).destroy());

      const moved = await move(source, target, {
        to: `unix:${path.path}`,
        at: `unix:${target.incoming}`,
        during: async () => {
          await until(async () => (await status(source)) === "active", 20_000, "the first pass", oracle);
          for (const where of [{ path: path.path }, tcp(to)]) {
            assert.deepEqual(await say(where, HTTP), Buffer.alloc(0));
            assert.deepEqual(
              await say(where, Buffer.concat([Buffer.from([0xff]), randomBytes(50_000)])),
              Buffer.alloc(0),
            );
          }
          // Another VM's migration, as far as its first bytes tell.
          assert.deepEqual(
            await say({ path: path.path }, Buffer.from("5145564d00000003", "hex")),
            Buffer.alloc(0),
          );
          assert.equal(await status(source), "active", "all that was in the middle of the move");
        },
      }).catch((error: Error) => {
        throw new Error(`${error.message}\n${path.source.stderr}\n${path.target.stderr}`, { cause: error });
      });
      movedTo(target);
      assert.equal(moved.info.status, "completed");
      await Promise.all([path.source.ends(0), path.target.ends(0)]);
      await verified(oracle);
      assert.deepEqual(oracle.faults, []);

      assert.match(path.source.stderr, /refused a second connection: one migration at a time/);
      assert.match(path.target.stderr, /turned away 127\.0\.0\.1:\d+: magic/);
      assert.match(path.source.stderr, /report could not be written to \/dev\/full: ENOSPC/);
      const [report] = reports(path.source.stdout);
      assert.equal(report?.status, "completed");
      assert.equal(report?.equal, true);
      // 240 Mbit are 30e6 bytes per second; a busy machine can only make it slower.
      const { wireBytes, totalTimeMs } = report!;
      assert.ok(
        wireBytes.forward / (totalTimeMs / 1000) < 1.2 * 30e6,
        `${wireBytes.forward} bytes in ${totalTimeMs} ms`,
      );
    },
  );

  test("there, back and there again through two pairs of relays with --keep", LIMIT, async () => {
    using folder = temporaryFolder();
    await using stack = new AsyncDisposableStack();
    const pairs = ["a", "b"].map((name) => {
      const at = join(folder.path, name);
      mkdirSync(at);
      const keep = ["--keep", "--report", join(at, "report.json")];
      return { at, forward: join(at, "in.sock"), keep };
    });
    const paths: RelayPath[] = [];
    for (const { at, forward, keep } of pairs)
      paths.push(await lay(stack, { folder: at, forward, sourceFlags: keep, targetFlags: ["--keep"] }));
    for (const hop of [0, 1, 0]) {
      await using hopStack = new AsyncDisposableStack();
      const { source, target } = await ready(hopStack);
      const [path, pair] = [paths[hop]!, pairs[hop]!];
      await move(source, target, { to: `unix:${path.path}`, at: `unix:${pair.forward}` });
      movedTo(target);
      await verified(oracle);
    }
    assert.deepEqual(oracle.faults, []);
    const written = pairs.map(({ at }) => reports(readFileSync(join(at, "report.json"), "utf8")));
    assert.deepEqual(
      written.map((all) => all.map(({ status, equal }) => [status, equal])),
      [
        [
          ["completed", true],
          ["completed", true],
        ],
        [["completed", true]],
      ],
    );
    for (const { source, target, path } of paths) {
      source.signal("SIGTERM");
      target.signal("SIGINT");
      await Promise.all([source.ends(0), target.ends(0)]);
      assert.ok(!existsSync(path));
    }
  });

  test(
    "told to end when the target may run already, both relays carry the move to its end",
    LIMIT,
    async () => {
      using folder = temporaryFolder();
      await using stack = new AsyncDisposableStack();
      const { source, target } = await ready(stack);
      const { path, proxy, moving } = await held(stack, folder.path, source, target, []);
      path.source.signal("SIGINT");
      path.target.signal("SIGTERM");
      await Promise.all(
        [path.source, path.target].map((relay) => relay.said(/Ended by .*carried to its end/)),
      );
      assert.ok(!(await running(source)), "never both");
      proxy.release();
      assert.equal((await moving).info.status, "completed");
      movedTo(target);
      await Promise.all([path.source.ends(0), path.target.ends(0)]);
      await verified(oracle);
      assert.ok(!(await running(source)));
    },
  );

  test("the source QEMU is killed: named at both ends, and the target never starts", LIMIT, async () => {
    using folder = temporaryFolder();
    await using stack = new AsyncDisposableStack();
    const { source, target } = await ready(stack);
    const path = await lay(stack, { folder: folder.path, forward: target.incoming });
    const moving = move(source, target, {
      ...{ to: `unix:${path.path}`, at: `unix:${target.incoming}`, bytesPerSec: SLOW },
      during: async () => {
        await until(async () => (await status(source)) === "active", 20_000, "the first pass", oracle);
        await sleep(500);
        process.kill(source.vm.process!.pid, "SIGKILL");
      },
    });
    await assert.rejects(moving, { code: "QMP_CLOSED" });
    const says = /source QEMU closed its connection during memory/;
    await Promise.all([
      path.source.fails("SOURCE_QEMU_GONE", says),
      path.target.fails("SOURCE_QEMU_GONE", says),
    ]);
    await target.vm.monitor.closed;
  });
}
