/**
 * Goal: in post-copy no guest is lost, and none runs twice, whichever of the two relays or the target QEMU's connection
 * dies: a new pair of relays brings exactly what is missing, out of the source's memory.
 * Method: real QEMUs and agents; while pages are missing a relay is killed by SIGKILL, or the target QEMU is told to drop
 * its connection; the guest's own oracle verifies its whole working set where it arrives, and the source is watched: it never
 * runs again. One guest goes through one fault after the other.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import { connectQmp } from "../../src/qemu/mod.ts";
import { Host, startGuest, until, verified } from "../tools/pair.ts";

const LIMIT = { timeout: 120_000 };
/** Some seconds for what is missing when post-copy begins. */
const BYTES_PER_SEC = 16_000_000;
const { qemus } = artefacts();

interface Side {
  readonly host: Host;
  /** One more monitor of whatever QEMU was started there last. */
  readonly qmp: string;
  /** Pids of its relays, the newest last. */
  readonly relays: number[];
}

async function side(name: string, plain: (typeof qemus)[number], dir: string): Promise<Side> {
  const relays: number[] = [];
  const qmp = join(dir, `${name}.qmp`);
  const qemu = { ...plain, args: [...plain.args, "-qmp", `unix:${qmp},server=on,wait=off`] };
  const watch = (line: string) => {
    const { pid, msg } = JSON.parse(line) as { pid: number; msg: string };
    if (msg === "relay's process") relays.push(pid);
  };
  return { host: await Host.start({ name, qemu, watch }), qmp, relays };
}

async function lastBeat(host: Host): Promise<number> {
  return (await host.vm("guest")).heartbeat?.lastSeq ?? 0;
}

for (const qemu of qemus.slice(-1)) {
  describe(`QEMU ${qemu.version}: post-copy`, () => {
    let dir: string;
    let from: Side;
    let to: Side;
    before(async () => {
      dir = mkdtempSync(join(tmpdir(), "gw-recovery-"));
      from = await side("a", qemu, dir);
      to = await side("b", qemu, dir);
      await startGuest(from.host, { name: "guest", memoryMib: 96, setMib: 8, pagesPerSec: 100 });
    }, LIMIT);
    after(async () => {
      await from?.host.end();
      await to?.host.end();
      rmSync(dir, { recursive: true, force: true });
    });

    async function survives(fault: (from: Side, to: Side) => void | Promise<void>): Promise<void> {
      const beats = await lastBeat(from.host);
      const order = {
        vm: "guest",
        to: to.host.peer,
        strategy: "postcopy",
        bandwidthBytesPerSec: BYTES_PER_SEC,
      } as const;
      const id = await from.host.begin(order);
      const phase = async () => (await from.host.status(id)).phase;
      await until(async () => (await phase()) === "postcopy", "post-copy", 30_000, 10);
      await fault(from, to);
      await until(async () => (await phase()) === "recovering", "the loss is noticed", 20_000, 10);
      let sourceRan = false;
      await until(
        async () => {
          const [there] = (await from.host.vms()).filter(({ name }) => name === "guest");
          sourceRan ||= there?.status === "running";
          return (await from.host.status(id)).ended;
        },
        "the end",
        60_000,
        20,
      );
      const report = await from.host.report(id);
      assert.equal(report.error, null);
      assert.equal(report.status, "completed");
      assert.equal(report.equal, true);
      assert.equal(sourceRan, false, "two hosts run the guest");
      // One whose memory is wrong may as well start anew: its beats are counted from 1 then, and its oracle finds nothing.
      await until(async () => (await lastBeat(to.host)) > 0, "a heartbeat at the target", 60_000, 20);
      assert((await lastBeat(to.host)) > beats, "the guest that arrived is the one that left");
      await verified(to.host, "guest", 2);
      [from, to] = [to, from];
    }

    const kill = (pid: number | undefined) => assert(pid !== undefined && process.kill(pid, "SIGKILL"));
    test("the source relay is killed", LIMIT, () => survives((source) => kill(source.relays.at(-1))));
    test("the target relay is killed", LIMIT, () => survives((_, target) => kill(target.relays.at(-1))));
    test("the target QEMU's connection is closed", LIMIT, () =>
      survives(async (_, target) => {
        const qmp = await connectQmp(target.qmp, {});
        await qmp.execute("migrate-pause");
        qmp.close();
      }),
    );
  });
}
