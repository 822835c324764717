/**
 * Goal: homes of both families boot the bench's guests, move them over a shaped stage, and say truly what it took; a move
 * that does not end in its time is a failure with the guest well at its source; nothing is left at the end.
 * Method: one stage with one small real guest of each family. The wire count of the stage, the guest's own oracle and the
 * machine's cores bound what the figures can be. All files go to a folder of the test's own, which must be empty after.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openGodwitHome, openStockHome } from "../../bench/homes/mod.ts";
import { openStage } from "../../bench/stage/mod.ts";
import { systemNamed } from "../../bench/systems/mod.ts";
import type { Home, Load, MoveFacts, Stage } from "../../bench/types.ts";
import { artefacts } from "../../lab/mod.ts";
import type { Cell } from "../../src/bench/mod.ts";
import { PAYLOAD_BYTES_MAX } from "../../src/wire/mod.ts";

const LINK = { bytesPerSec: 25_000_000, latencyMs: 1, jitterMs: 0 };
const VERIFY_MS = 90_000;
/** Each records frame takes longer than the link needs for it. */
const SLOW_US = 9_000;

const none: Load = {
  ...{ name: "none", about: "nothing", unit: null, network: false, initrd: artefacts().initrd },
  append: () => "",
  start: async () => null,
};
const cell: Cell = {
  ...{ name: "test", about: "a small guest", load: "none", memoryMib: 128, cpus: 1, link: LINK },
  workload: { setMib: 32, pagesPerSec: 300, mode: "words" },
  ...{ guests: 1, timeLimitMs: 60_000, slaLimitMs: 100, factor: null },
};

let folder: string;
let stage: Stage;
let stock: Home;
let godwit: Home;
const outerTmp = process.env["TMPDIR"];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "gw-homes-"));
  process.env["TMPDIR"] = folder;
  process.env["GODWIT_TEST_SLOW_US"] = `${SLOW_US}`;
  stage = await openStage({ link: LINK, guests: 0 });
  const options = { stage, cell, qemu: artefacts().qemus[0]!, load: none, first: 0, seed: 3 };
  [stock, godwit] = await Promise.all([openStockHome(options), openGodwitHome(options)]);
});

after(async () => {
  await stock?.close();
  await godwit?.close();
  await stage?.close();
  if (outerTmp === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = outerTmp;
  delete process.env["GODWIT_TEST_SLOW_US"];
  const left = readdirSync(folder);
  rmSync(folder, { recursive: true });
  assert.deepEqual(left, []);
  assert.deepEqual(processesNaming(folder), []);
});

function processesNaming(text: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(text);
    } catch {
      return false; // it has just ended
    }
  });
}

/** One move of the home's only guest, with the bytes that it brought onto the wire. */
async function moved(home: Home, system: string, timeLimitMs: number) {
  const way = stage.way(home.at);
  const before = await way.wireBytes();
  const [facts] = await home.move(system, timeLimitMs);
  assert.ok(facts);
  return { facts, wireBytes: (await way.wireBytes()).forward - before.forward };
}

/** What must hold of any completed move of this guest, however fast the machine is. */
function assertPlausible(facts: MoveFacts, wireBytes: number): void {
  const totalMs = facts.endedAtMs - facts.orderedAtMs;
  assert.equal(facts.error, null);
  assert.ok(facts.migrateAtMs !== null && facts.downtimeMs !== null && facts.blackoutMs !== null);
  assert.ok(facts.orderedAtMs < facts.migrateAtMs && facts.migrateAtMs < facts.endedAtMs);
  assert.ok(facts.downtimeMs > 0 && facts.downtimeMs < totalMs, `downtime ${facts.downtimeMs}`);
  assert.ok(facts.blackoutMs > 0 && facts.blackoutMs < totalMs + 1_500, `blackout ${facts.blackoutMs}`);
  const { gapAfterResumeMs, requests, switchover } = facts;
  assert.ok(gapAfterResumeMs !== null && gapAfterResumeMs > 0 && gapAfterResumeMs < totalMs + 2_500);
  assert.equal(requests, 0, "no post-copy");
  assert.ok((switchover?.rule ?? "") !== "");
  assert.ok(facts.passes !== null && facts.passes >= 1);
  assert.ok(facts.pages !== null && facts.pages.zero > 0 && facts.pages.sent > facts.pages.zero);
  assert.ok(facts.streamBytes !== null && facts.streamBytes > 0 && wireBytes > 0);
  // Neither the boot nor any earlier move is in it: two hosts cannot use more than the cores have.
  const roomMs = (totalMs + 1_500) * cpus().length;
  const { source, target } = facts.cpuMs;
  assert.ok(source > 0 && target > 0 && facts.guestCpuMs !== null && facts.guestCpuMs > 0);
  assert.ok(source + target + facts.guestCpuMs < roomMs, `${source} + ${target} + ${facts.guestCpuMs} ms`);
  assert.ok(facts.timeline.length > 3);
  assert.equal(facts.timeline.at(-1)?.phase, "completed");
  assert.ok(facts.timeline.every(({ atMs }, i) => i === 0 || atMs >= facts.timeline[i - 1]!.atMs));
}

test("stock QEMU moves the guest, and its bytes are those on the wire", async () => {
  godwit.pause();
  const { facts, wireBytes } = await moved(stock, "B1", cell.timeLimitMs);
  assertPlausible(facts, wireBytes);
  assert.ok(Math.abs(wireBytes - facts.streamBytes!) < 0.02 * wireBytes, `${wireBytes} ${facts.streamBytes}`);
  assert.deepEqual([facts.equal, facts.extraRssBytes], [null, { source: 0, target: 0 }]);
  assert.deepEqual([stock.at, stock.usable], ["b", true]);
  await stock.guests[0]!.verified(VERIFY_MS);
});

test("multifd with zstd goes over the same way, and sends less", async () => {
  const { facts, wireBytes } = await moved(stock, "stock-multifd-zstd", cell.timeLimitMs);
  assertPlausible(facts, wireBytes);
  assert.ok(wireBytes < facts.pages!.sent * 4096, "compressed");
  assert.deepEqual([stock.at, stock.usable], ["a", true]);
  await stock.guests[0]!.verified(VERIFY_MS);
});

test("a stock move that does not end in its time has failed, and the guest goes on where it was", async () => {
  const guest = stock.guests[0]!;
  guest.say("rate 20000"); // more pages a second than the link carries
  const { facts } = await moved(stock, "stock", 3_000);
  assert.match(facts.error ?? "", /had not ended after 3000 ms/);
  assert.equal(facts.downtimeMs, null);
  assert.ok(facts.passes !== null, "how far it came");
  assert.deepEqual([stock.at, stock.usable], ["a", true]);
  guest.say("rate 300");
  await guest.verified(VERIFY_MS);
});

test("Godwit moves a guest that was held meanwhile, proves it, and can be slowed on purpose", async () => {
  stock.pause();
  godwit.resume();
  const { facts, wireBytes } = await moved(godwit, "godwit-plain", cell.timeLimitMs);
  assertPlausible(facts, wireBytes);
  assert.deepEqual([facts.equal, facts.engine], [true, null]);
  assert.ok(facts.extraRssBytes.source > 2 ** 24 && facts.extraRssBytes.target > 2 ** 24);
  const framesMin = Math.floor(((facts.pages!.sent - facts.pages!.zero) * 4096) / PAYLOAD_BYTES_MAX);
  assert.ok(
    facts.endedAtMs - facts.migrateAtMs! >= (framesMin * SLOW_US) / 1000,
    "the hook was not in the path",
  );
  assert.deepEqual([godwit.at, godwit.usable], ["b", true]);
  stock.resume();
  await Promise.all([godwit, stock].map((home) => home.guests[0]!.verified(VERIFY_MS)));
});

test("Godwit's page engine tells what it did, with a small page store, too", async () => {
  stock.pause();
  const { facts, wireBytes } = await moved(godwit, "godwit-auto-16m", cell.timeLimitMs);
  assertPlausible(facts, wireBytes);
  assert.equal(facts.equal, true);
  assert.equal(facts.engine?.name, "auto");
  assert.equal(facts.engine.cacheBytes, 16 * 2 ** 20);
  assert.notEqual(facts.switchover?.rule ?? "", "");
  assert.deepEqual([godwit.at, godwit.usable], ["a", true]);
  stock.resume();
  await Promise.all([godwit, stock].map((home) => home.guests[0]!.verified(VERIFY_MS)));
});

test("the memory of a stock guest can be written to a file, and the guest goes on", async () => {
  const dir = mkdtempSync(join(folder, "dump-"));
  try {
    const file = join(dir, "0.memory");
    await stock.dumpMemory!([file]);
    const size = statSync(file).size;
    assert.ok(size >= cell.memoryMib * 2 ** 20 && size % 4096 === 0, `${size}`);
    await stock.guests[0]!.verified(VERIFY_MS);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("a QEMU is asked what it lacks, and says it", async () => {
  const [old, recent] = artefacts().qemus;
  assert.equal(await systemNamed("stock-multifd-zstd").lacks(old!), null);
  assert.match((await systemNamed("B0").lacks(old!)) ?? "", /has no parameter zero-page-detection/);
  if (recent !== undefined) assert.equal(await systemNamed("B0").lacks(recent), null);
});
