/**
 * Goal: a VM starts as its spec says or QEMU's own reason is told; it outlives us, is found again, is taken over from
 * others only when it can be moved, and leaves nothing behind.
 * Method: machines without disks on each QEMU that set-up found; foreign QEMUs are started by hand.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts } from "../../lab/setup/mod.ts";
import {
  adoptVm,
  connectQmp,
  isAlive,
  launchVm,
  parseSpec,
  postcopyObstacle,
  probeQemu,
  type RunningVm,
  reopenVm,
  resolveMachine,
  resolveSpec,
  signal,
  stopVm,
  type VmSpecInput,
  waitForExit,
} from "../../src/qemu/mod.ts";

const scratch = mkdtempSync(join(tmpdir(), "godwit-launch-"));
after(() => rmSync(scratch, { recursive: true }));
const dir = join(scratch, "vm");
const started: RunningVm[] = [];
const foreign: ChildProcess[] = [];

afterEach(async () => {
  for (const vm of started.splice(0))
    if (vm.process !== null && isAlive(vm.process)) signal(vm.process, "SIGKILL");
  for (const child of foreign.splice(0)) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

const spec = (more: Partial<VmSpecInput> = {}) =>
  parseSpec({ name: "vm", memory: "32MiB", accel: "tcg", ...more });

for (const qemu of artefacts().qemus) {
  const launch = async (more: Partial<VmSpecInput> = {}) => {
    const vm = await launchVm({ mode: "run", spec: spec(more), dir, qemu });
    started.push(vm);
    return vm;
  };

  describe(`a VM under QEMU ${qemu.version}`, () => {
    it("runs in a private folder, with nothing left open about its machine", async () => {
      const vm = await launch({ balloon: true, nics: [{ type: "user" }], cpus: 2, memfd: true });
      assert.equal(statSync(dir).mode & 0o777, 0o700);
      assert.match(vm.spec.machine, /^pc-q35-\d+\.\d+$/);
      assert.match(vm.spec.nics[0]!.mac!, /^52:54:00:/);
      assert.equal((await vm.monitor.execute("query-uuid")).UUID, vm.spec.uuid);
      assert.equal((await vm.monitor.execute("query-cpus-fast")).length, 2);
    });

    it("is found again by its folder, and stop leaves no process", async () => {
      const first = await launch();
      first.monitor.close(); // as when the agent dies
      const found = await reopenVm(dir);
      assert.ok(found !== null);
      assert.deepEqual(found.spec, first.spec);
      assert.deepEqual(found.process, first.process);
      await stopVm(found);
      assert.equal(isAlive(first.process!), false);
      assert.equal(await reopenVm(dir), null);
      await stopVm(found); // again is fine
    });

    it("is ended even when its monitor does not answer", async () => {
      const vm = await launch();
      signal(vm.process!, "SIGSTOP");
      await stopVm(vm);
      assert.equal(isAlive(vm.process!), false);
    });

    it("that waits for a migration has the same machine, stopped", async () => {
      const resolved = await resolveSpec(spec({ balloon: true }), qemu);
      const vm = await launchVm({ mode: "incoming", spec: resolved, dir, qemu });
      started.push(vm);
      assert.equal((await vm.monitor.execute("query-status")).status, "inmigrate");
      const { qemu: _, ...machine } = vm.spec;
      assert.deepEqual(machine, resolved);
    });

    it("that cannot start tells QEMU's own reason and leaves no folder", async () => {
      const refusals: [Partial<VmSpecInput>, string, RegExp][] = [
        [{ cpu: "nonsense" }, "QEMU_START_FAILED", /unable to find CPU model 'nonsense'/],
        [{ kernel: "/nonexistent" }, "QEMU_START_FAILED", /\/nonexistent/],
        [{ disks: [{ path: "/nonexistent", format: "raw" }] }, "QEMU_START_FAILED", /\/nonexistent/],
        [{ machine: "nonsense" }, "MACHINE_UNKNOWN", /no machine type nonsense/],
        [{ qemu: { binary: "/nonexistent" } }, "QEMU_MISSING", /ENOENT/],
        [{ qemu: { binary: "/bin/true" } }, "QEMU_MISSING", /ended/],
      ];
      for (const [more, code, message] of refusals) {
        await assert.rejects(launch(more), { code, message });
        assert.equal(existsSync(dir), false, code);
      }
    });

    it("is not started over one that runs in the same folder", async () => {
      const vm = await launch();
      await assert.rejects(launch(), { code: "VM_EXISTS" });
      assert.equal((await vm.monitor.execute("query-status")).running, true);
    });

    it("tells what it can do, which is asked and not guessed", async () => {
      const facts = await probeQemu(qemu);
      assert.equal(facts.version, qemu.version);
      assert.ok(facts.migrateCapabilities.includes("postcopy-ram"));
      assert.equal(resolveMachine(facts, "pc-q35-7.2"), "pc-q35-7.2");
      const obstacle = await postcopyObstacle(qemu);
      assert.ok(obstacle === null || /ostcopy/.test(obstacle), String(obstacle));
    });
  });

  describe(`a foreign QEMU ${qemu.version}`, () => {
    const socket = join(scratch, "foreign");
    async function start(...args: string[]): Promise<void> {
      const all = [
        ...qemu.args,
        "-display",
        "none",
        "-machine",
        "q35,accel=tcg",
        "-cpu",
        "Nehalem-v1",
        "-m",
        "64",
      ];
      all.push("-qmp", `unix:${socket},server=on,wait=off`, ...args);
      foreign.push(spawn(qemu.binary, all, { stdio: "ignore" }));
      for (let tries = 0; tries < 500; tries++) {
        try {
          const qmp = await connectQmp(socket);
          return qmp.close();
        } catch {
          await sleep(20); // not yet up
        }
      }
      throw new Error("the foreign QEMU did not start");
    }

    it("is taken over with the machine that QMP tells", async () => {
      await start("-nodefaults", "-name", "theirs", "-smp", "2", "-device", "virtio-balloon-pci");
      const vm = await adoptVm({ dir, qmp: socket });
      started.push(vm);
      assert.equal(vm.spec.name, "theirs");
      assert.equal(vm.spec.cpus, 2);
      assert.equal(vm.spec.memory, "64MiB");
      assert.equal(vm.spec.cpu, "Nehalem-v1");
      assert.equal(vm.spec.balloon, true);
      assert.equal(vm.spec.serial, false);
      assert.match(vm.spec.machine, /^pc-q35-/);
      assert.equal(vm.process?.pid, foreign[0]!.pid);
      vm.monitor.close();
      const found = await reopenVm(dir);
      assert.deepEqual(found?.spec, vm.spec);
      await stopVm(found!);
      assert.equal(await waitForExit(vm.process!, 0), true);
    });

    it("keeps the features of its balloon, which a target must have, too", async () => {
      const device = "virtio-balloon-pci,free-page-hint=on,iothread=theirs,deflate-on-oom=on";
      await start("-nodefaults", "-name", "theirs", "-object", "iothread,id=theirs", "-device", device);
      await assert.rejects(adoptVm({ dir, qmp: socket, spec: { balloon: true } }), {
        code: "VM_NOT_MOVABLE",
        message: /features none, QEMU says hints, deflateOnOom/,
      });
      const vm = await adoptVm({ dir, qmp: socket });
      started.push(vm);
      assert.deepEqual(vm.spec.balloon, { hints: true, reporting: false, deflateOnOom: true });
      await stopVm(vm);
      const target = await launchVm({ mode: "incoming", spec: vm.spec, dir, qemu });
      started.push(target);
      const path = "/machine/peripheral/balloon0";
      const on = (property: string) => target.monitor.execute("qom-get", { path, property });
      assert.deepEqual([await on("free-page-hint"), await on("free-page-reporting")], [true, false]);
    });

    it("is refused when a target could not have its devices, naming them", async () => {
      await start("-name", "theirs");
      await assert.rejects(adoptVm({ dir, qmp: socket }), { code: "VM_NOT_MOVABLE", message: /VGA/ });
      foreign.splice(0)[0]!.kill("SIGKILL");
      await start("-nodefaults", "-name", "theirs", "-device", "usb-ehci");
      await assert.rejects(adoptVm({ dir, qmp: socket }), { code: "VM_NOT_MOVABLE", message: /usb-ehci/ });
      await assert.rejects(adoptVm({ dir, qmp: socket, spec: { memory: "128MiB" } }), {
        code: "VM_NOT_MOVABLE",
      });
      assert.equal(existsSync(dir), false);
    });
  });
}
