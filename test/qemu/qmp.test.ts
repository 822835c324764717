/**
 * Goal: the QMP client understands real QEMUs, and a QEMU that dies or refuses shows as a named error.
 * Method: a machine without disks on each QEMU that set-up found, launched and spoken to for real.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import { connectQmp, launchVm, parseSpec, type RunningVm, signal, stopVm } from "../../src/qemu/mod.ts";

const scratch = mkdtempSync(join(tmpdir(), "godwit-qmp-"));
after(() => rmSync(scratch, { recursive: true }));

for (const qemu of artefacts().qemus) {
  describe(`QMP of QEMU ${qemu.version}`, () => {
    const running: RunningVm[] = [];
    afterEach(async () => {
      for (const vm of running.splice(0)) await stopVm(vm);
      rmSync(join(scratch, "vm"), { recursive: true, force: true });
    });
    async function launch(): Promise<RunningVm> {
      const spec = parseSpec({ name: "vm", memory: "32776KiB", accel: "tcg" });
      const vm = await launchVm({ mode: "run", spec, dir: join(scratch, "vm"), qemu });
      running.push(vm);
      return vm;
    }

    it("answers typed commands and tells events with QEMU's own time", async () => {
      const { monitor, qemuVersion } = await launch();
      assert.equal(qemuVersion, qemu.version);
      assert.equal((await monitor.execute("query-status")).running, true);
      assert.equal((await monitor.execute("query-memory-size-summary"))["base-memory"], 32776 * 1024);
      const schema = await monitor.execute("query-qmp-schema");
      assert.ok(schema.length > 100, "the longest answer there is arrives whole");
      const before = Date.now();
      const stopped = monitor.waitFor("STOP", () => true, 5_000);
      await monitor.execute("stop");
      const { timestampMs } = await stopped;
      assert.ok(timestampMs >= before - 1 && timestampMs <= Date.now() + 1, "the wall clock, in ms");
      assert.equal((await monitor.execute("query-status")).status, "paused");
    });

    it("iterates over events until the monitor is closed", async () => {
      const { monitor } = await launch();
      const seen: string[] = [];
      const reading = (async () => {
        for await (const { event } of monitor.main.events()) seen.push(event);
      })();
      await monitor.execute("stop");
      await monitor.execute("cont");
      await monitor.execute("query-status");
      monitor.close();
      await reading;
      assert.deepEqual(seen, ["STOP", "RESUME"]);
      const again = await connectQmp(join(scratch, "vm", "qmp"));
      assert.equal((await again.execute("query-status")).running, true, "QEMU goes on without us");
      await again.execute("quit");
      again.close();
    });

    it("gives QEMU's own words for what it refuses, also out of band", async () => {
      const { monitor } = await launch();
      await assert.rejects(monitor.execute("migrate-incoming", { uri: "unix:/nowhere" }), {
        code: "QMP_ERROR",
        message: /'-incoming' was not specified|migrate-incoming/,
      });
      await assert.rejects(monitor.yankMigration(), { code: "QMP_ERROR" });
      assert.equal((await monitor.execute("query-status")).running, true);
    });

    it("a QEMU that is killed fails what is pending with QMP_CLOSED", async () => {
      const vm = await launch();
      const waiting = vm.monitor.waitFor("STOP", () => true, 30_000);
      const closed = assert.rejects(waiting, { code: "QMP_CLOSED" });
      signal(vm.process!, "SIGKILL");
      await closed;
      assert.equal((await vm.monitor.closed).code, "QMP_CLOSED");
      await assert.rejects(vm.monitor.execute("query-status"), { code: "QMP_CLOSED" });
    });
  });
}

describe("no QEMU", () => {
  it("at a path is QMP_UNREACHABLE", async () => {
    await assert.rejects(connectQmp(join(scratch, "nobody")), { code: "QMP_UNREACHABLE" });
  });
});
