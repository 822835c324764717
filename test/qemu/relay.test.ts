/**
 * Goal: a real guest crosses through the two relays with nothing lost, as with any orchestrator that migrates over a unix
 * socket: both QEMU versions and from one to the other, pre-copy and post-copy, with and without return path.
 * Method: real QEMUs and real relay processes on loopback; the guest's own oracle verifies its whole working set after
 * the move; page counts of the relays are compared with what QEMU reports.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { artefacts, GuestOracle } from "../../lab/mod.ts";
import { move, startGuest, startRelayPair, startTarget, verified } from "../../lab/rig/mod.ts";

const { qemus } = artefacts();
const versions = qemus.map((qemu) => ({ from: qemu, to: qemu, machine: "q35" }));
const [older, newer] = qemus;
if (older !== undefined && newer !== undefined)
  versions.push({ from: older, to: newer, machine: "pc-q35-7.2" });

for (const { from, to, machine } of versions) {
  const kinds = from === to ? (["precopy", "postcopy"] as const) : (["precopy"] as const);
  for (const kind of kinds) {
    test(`${from.version} -> ${to.version}: ${kind} through two relays`, { timeout: 180_000 }, () =>
      crossing({ from, to, machine, postcopy: kind === "postcopy", returnPath: true }),
    );
  }
}

for (const qemu of qemus) {
  test(`${qemu.version}: pre-copy without a return path`, { timeout: 180_000 }, () =>
    crossing({ from: qemu, to: qemu, machine: "q35", postcopy: false, returnPath: false }),
  );
}

async function crossing(how: {
  from: (typeof qemus)[number];
  to: (typeof qemus)[number];
  machine: string;
  postcopy: boolean;
  returnPath: boolean;
}): Promise<void> {
  const oracle = new GuestOracle();
  await using stack = new AsyncDisposableStack();
  const guest = { qemu: how.from, machine: how.machine, memoryMib: 192, workload: { setMib: 32 } };
  const source = await startGuest(guest, oracle);
  stack.defer(() => source.stop());
  const target = await startTarget(source, how.to, oracle);
  stack.defer(() => target.stop());
  const relays = await startRelayPair({ folder: source.dir, incoming: target.incoming });
  stack.defer(() => relays.stop());

  const at = `unix:${target.incoming}`;
  const { postcopy, returnPath } = how;
  const moved = await move(source, target, { to: relays.to, at, postcopy, returnPath });
  const [atSource, atTarget] = await Promise.all([relays.source.ended, relays.target.ended]);
  await verified(oracle);

  assert.equal(atSource.error, null);
  assert.equal(atTarget.error, null);
  assert.equal(atSource.figures.equal, true, "both digests agree");
  assert.equal(atTarget.figures.equal, true, "both digests agree");
  assert.equal(atSource.figures.postcopy, how.postcopy);
  const { zero, raw, sent } = atSource.figures.pages;
  assert.deepEqual({ zero, raw }, { zero: moved.info.ram?.duplicate, raw: moved.info.ram?.normal });
  assert.deepEqual(atTarget.figures.pages, atSource.figures.pages);
  assert.equal(sent, zero + raw);
  assert.ok((atSource.figures.rssBytes.source ?? Infinity) < 200e6, "a relay stays under 200 MB");
  assert.ok((atSource.figures.rssBytes.target ?? Infinity) < 200e6, "a relay stays under 200 MB");
}
