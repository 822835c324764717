/**
 * Goal: the lab guest is a sound judge: it works on each QEMU and machine, follows orders, stays clean when nothing
 * is wrong, also over stock migrations, and finds a single changed byte.
 * Method: real QEMUs under TCG, nothing of Godwit in their path; the byte is changed by the guest's own test hook. One
 * guest on the one machine goes from QEMU to QEMU and is broken at the end; one on the other breaks by itself.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, type QemuArtefact } from "../../lab/mod.ts";
import { type StockGuest, startStockGuest } from "../tools/stock_guest.ts";

const { qemus } = artefacts();
const system = qemus[0]!;
const newest = qemus.at(-1)!;

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** It writes in another manner, with other memory in use, and stays clean. */
async function takesOrders(guest: StockGuest, mode: "random" | "words"): Promise<void> {
  const { oracle } = guest;
  guest.tell(`mode ${mode}`);
  guest.tell("fill 16");
  const passes = oracle.passesOk;
  await guest.until("clean passes in another mode", () => oracle.passesOk >= passes + 2);
  guest.tell("free");
  assert.deepEqual(oracle.faults, []);
}

async function findsTheBrokenByte(guest: StockGuest): Promise<void> {
  const { oracle } = guest;
  await guest.until("the broken byte is found", () => oracle.faults.length >= 2);
  assert.match(oracle.faults[0]!, /^CORRUPT page=\d+ version=\d+ offset=\d+ what=content$/);
  assert.match(oracle.faults[1]!, /found differences/);
}

test("q35: clean under orders and over stock pre-copy to each QEMU, and one changed byte is found", async (t) => {
  const folder = folderOf(t);
  const common = {
    machine: `pc-q35-${system.version.split(".").slice(0, 2).join(".")}`,
    memoryMib: 128,
    folder,
    workload: { setMib: 24, pagesPerSec: 2000 },
  };
  let guest = await startStockGuest(t, { ...common, qemu: system, name: "first" });
  const { oracle } = guest;

  await t.test(`QEMU ${system.version}: it verifies and takes orders`, async () => {
    await guest.until("two clean passes", () => oracle.passesOk >= 2);
    await takesOrders(guest, "random");
    assert.ok(oracle.beats > 10);
  });

  /** The guest goes on under another QEMU. */
  async function moveTo(qemu: QemuArtefact, name: string): Promise<void> {
    const incoming = join(folder, `${name}.migration`);
    const target = await startStockGuest(t, { ...common, qemu, name, incoming, oracle });
    await guest.qmp.execute("migrate-set-parameters", { "max-bandwidth": 100 << 20, "downtime-limit": 100 });
    await guest.qmp.execute("migrate", { uri: `unix:${incoming}` });
    const done = ["completed", "failed", "cancelled"];
    let status = "";
    for (let i = 0; i < 600 && !done.includes(status); i++) {
      await sleep(100);
      ({ status = "" } = await guest.qmp.execute("query-migrate"));
    }
    assert.equal(status, "completed");
    await guest.quit();
    guest = target;
    const { beats, passesOk } = oracle;
    await guest.until("two whole passes after the move", () => oracle.passesOk >= passesOk + 2);
    assert.ok(oracle.beats > beats);
    assert.deepEqual(oracle.faults, []);
  }

  for (const qemu of qemus) {
    await t.test(`stock pre-copy to ${qemu.version} leaves the guest clean and alive`, () =>
      moveTo(qemu, `on-${qemu.version}`),
    );
  }

  await t.test(`QEMU ${newest.version}: it takes orders, and finds one changed byte`, async () => {
    await takesOrders(guest, "words");
    guest.tell("stop"); // or it might write over the byte before it looks at it
    guest.tell("break");
    await findsTheBrokenByte(guest);
  });
});

test("pc, 512 MiB: gw.break changes a byte by itself, at the time given, and it is found", async (t) => {
  const workload = { setMib: 8, pagesPerSec: 500, breakAfterSec: 2 };
  const guest = await startStockGuest(t, {
    ...{ qemu: newest, machine: "pc", memoryMib: 512, workload, folder: folderOf(t), name: "guest" },
  });
  await findsTheBrokenByte(guest);
  assert.ok(guest.oracle.passesOk >= 1, "it was clean before");
});
