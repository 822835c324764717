/**
 * Goal: the lab guest is a sound judge: it works on each QEMU and machine, follows orders, stays clean when nothing
 * is wrong, also over a stock migration, and finds a single changed byte.
 * Method: real QEMUs under TCG, nothing of Godwit in their path; the byte is changed by the guest's own test hook.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, type QemuArtefact } from "../../lab/mod.ts";
import { startStockGuest } from "../tools/stock_guest.ts";

const { qemus } = artefacts();
const system = qemus[0]!;

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const boots = qemus.map((qemu, index) => ({
  qemu,
  machine: index % 2 ? "pc" : "q35",
  memoryMib: index % 2 ? 512 : 128,
}));
for (const { qemu, machine, memoryMib } of boots) {
  const what = `QEMU ${qemu.version}, ${machine}, ${memoryMib} MiB`;
  test(`${what}: the guest verifies, takes orders, and finds one changed byte`, async (t) => {
    const workload = { setMib: 24, pagesPerSec: 2000 };
    const guest = await startStockGuest(t, {
      qemu,
      machine,
      memoryMib,
      workload,
      folder: folderOf(t),
      name: "guest",
    });
    const { oracle } = guest;
    await guest.until("two clean passes", () => oracle.passesOk >= 2);
    guest.tell("mode random");
    guest.tell("fill 16");
    const passes = oracle.passesOk;
    await guest.until("clean passes in another mode", () => oracle.passesOk >= passes + 2);
    guest.tell("free");
    assert.ok(oracle.beats > 10);
    assert.deepEqual(oracle.faults, []);
    guest.tell("break");
    await guest.until("the broken byte is found", () => oracle.faults.length >= 2);
    assert.match(oracle.faults[0]!, /^CORRUPT page=\d+ version=\d+ offset=\d+ what=content$/);
    assert.match(oracle.faults[1]!, /found differences/);
  });
}

test("gw.break changes a byte by itself, at the time given", async (t) => {
  const workload = { setMib: 8, mode: "idle", breakAfterSec: 2 } as const;
  const guest = await startStockGuest(t, {
    ...{ qemu: system, machine: "q35", memoryMib: 128, workload, folder: folderOf(t), name: "guest" },
  });
  await guest.until("the broken byte is found", () => guest.oracle.faults.length >= 2);
  assert.ok(guest.oracle.passesOk >= 1, "it was clean before");
});

const pairs: [QemuArtefact, QemuArtefact][] = [[system, system]];
if (qemus[1] !== undefined) pairs.push([system, qemus[1]]);
for (const [from, to] of pairs) {
  test(`stock pre-copy ${from.version} -> ${to.version} leaves the guest clean and alive`, async (t) => {
    const folder = folderOf(t);
    const incoming = join(folder, "migration");
    const common = {
      machine: `pc-q35-${system.version.split(".").slice(0, 2).join(".")}`,
      memoryMib: 192,
      folder,
    };
    const workload = { setMib: 32, pagesPerSec: 2000 };
    const source = await startStockGuest(t, { ...common, qemu: from, name: "source", workload });
    const { oracle } = source;
    await source.until("a clean pass", () => oracle.passesOk >= 1);
    const target = await startStockGuest(t, {
      ...common,
      qemu: to,
      name: "target",
      workload,
      incoming,
      oracle,
    });
    await source.qmp.execute("migrate-set-parameters", { "max-bandwidth": 100 << 20, "downtime-limit": 100 });
    await source.qmp.execute("migrate", { uri: `unix:${incoming}` });
    const done = ["completed", "failed", "cancelled"];
    let status = "";
    for (let i = 0; i < 600 && !done.includes(status); i++) {
      await sleep(100);
      ({ status = "" } = await source.qmp.execute("query-migrate"));
    }
    assert.equal(status, "completed");
    await source.quit();
    const { beats, passesOk } = oracle;
    await target.until("two whole passes after the move", () => oracle.passesOk >= passesOk + 2);
    assert.ok(oracle.beats > beats);
    assert.deepEqual(oracle.faults, []);
  });
}
