/**
 * Goal: a guest moved over the stage takes its network with it, and stock QEMU needs nothing but the way's address.
 * Method: a real lab guest with a tap on the stage's bridges moves from a to b; a client in the third namespace asks
 * its TCP before and after on a port where nobody listens, so that the refusal can only come from the guest's kernel.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { test } from "node:test";
import { openStage } from "../../bench/stage/mod.ts";
import { canMakeNamespaces } from "../../lab/host/mod.ts";
import { artefacts, GuestOracle, type LabHost } from "../../lab/mod.ts";
import { move, startGuest, startTarget, verified } from "../../lab/rig/mod.ts";

const LINK = { bytesPerSec: 50e6, latencyMs: 0.5, jitterMs: 0.2 };
/** How long the answer may take: the guest announces itself within a second of its start. */
const ANSWER_MS = 10_000;

/** The error code of a connection attempt from there. */
function knock(client: LabHost, address: string): string {
  const code = `require("node:net").connect(9, "${address}").on("error", (e) => console.log(e.code))`;
  const [command, ...args] = client.argv([process.execPath, "-e", code]);
  return spawnSync(command!, args, { encoding: "utf8", timeout: ANSWER_MS }).stdout.trim();
}

test("a guest keeps its address and its clients' way to it across a move", {
  skip: canMakeNamespaces() ? false : "needs the right to make namespaces",
}, async (t) => {
  const qemu = artefacts().qemus[0]!;
  const stage = await openStage({ link: LINK, guests: 4 });
  t.after(() => stage.close());
  const { a, b } = stage.hosts;
  const nic = stage.nic(3)!;
  const oracle = new GuestOracle();
  const guest = {
    memoryMib: 128,
    workload: { setMib: 16, pagesPerSec: 200 },
    append: `gw.ip=${nic.address}`,
    nics: [{ type: "tap" as const, ifname: nic.ifname, mac: nic.mac }],
  };
  const source = await startGuest({ ...guest, qemu: a.qemu(qemu) }, oracle);
  t.after(() => source.stop());
  assert.match(readlinkSync(`/proc/${source.vm.process!.pid}/exe`), /qemu-system/, "the pid is QEMU's own");
  assert.equal(knock(stage.client!, nic.address), "ECONNREFUSED");

  const target = await startTarget(source, b.qemu(qemu), oracle);
  t.after(() => target.stop());
  const way = stage.way("a");
  const port = way.ports.stock[0]!;
  const moved = await move(source, target, {
    to: `tcp:${way.address}:${port}`,
    at: `tcp:${b.address}:${port}`,
  });
  await source.stop();
  assert.equal(knock(stage.client!, nic.address), "ECONNREFUSED", "the target answers");
  await verified(oracle);
  assert.deepEqual(oracle.faults, []);

  const wire = await way.wireBytes();
  const kernel = way.interfaceBytes()!;
  assert.ok(wire.forward >= moved.info.ram!.transferred, "what QEMU sent went over the way");
  assert.ok(
    Math.abs(kernel.forward / wire.forward - 1) < 0.02,
    `${kernel.forward} bytes for ${wire.forward}`,
  );
});
