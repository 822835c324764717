/**
 * Goal: memory that differs when a guest is about to be handed over to post-copy ends the move before the target has the
 * guest: it goes on at the source, whole, and the report names the reason. Stock QEMU has no way back there (10.0 refuses
 * `migrate_cancel`, 7.2 hangs in it).
 * Method: real QEMUs, relays and agents; the source relay takes pages for others on purpose (a test hook), so that only the
 * digest can tell. The guest's oracle verifies its whole working set afterwards.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts } from "../../lab/setup/mod.ts";
import { COLLIDE_VARIABLE } from "../../src/relay/engine/colliding.ts";
import { Host, startGuest, until, verified } from "../tools/pair.ts";

// Relays get it from this process: agents run in it.
process.env[COLLIDE_VARIABLE] = "18,blind";

for (const qemu of artefacts().qemus) {
  describe(`QEMU ${qemu.version}`, () => {
    const hosts: Host[] = [];
    after(async () => {
      for (const host of hosts) await host.end();
    });

    test("digests that differ at the handover: the guest goes on at the source", async () => {
      for (const name of ["a", "b"]) hosts.push(await Host.start({ name, qemu }));
      const [a, b] = hosts as [Host, Host];
      await startGuest(a, { name: "guest", memoryMib: 128, setMib: 16 });
      const id = await a.begin({
        ...{ vm: "guest", to: b.peer, strategy: "precopy", bandwidthBytesPerSec: 8_000_000 },
        ...{ downtimeLimitMs: 1, timeoutMs: 600_000, onTimeout: "postcopy" },
      });
      await until(async () => (await a.status(id)).phase === "precopy", "pre-copy", 30_000);
      await sleep(1000);
      await a.call("POST", `/v1/migrations/${id}/postcopy`);
      const report = await a.report(id);
      assert.deepEqual([report.status, report.error?.code], ["aborted", "NOT_PROVEN"]);
      await until(
        async () => (await a.vm("guest")).status === "running",
        "the guest runs at the source",
        10_000,
      );
      await verified(a, "guest", 2);
      await until(async () => (await b.vms()).length === 0, "nothing is left at the target", 10_000);
    });
  });
}
