/**
 * Goal: a guest that rewrites pages faster than the link carries them moves all the same, ended by a rule that the
 * report names; a bandwidth from MIN to MAX is followed.
 * Method: two agents, a lab guest that writes a few words into each of 4000 pages a second, 100 Mbit/s on the link: that
 * carries 3050 pages a second. One such guest per QEMU, the older for the one, the newer for the other; its own oracle judges.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import { type Report, RULES } from "../../src/migration/mod.ts";
import { Host, startGuest, until, verified } from "../tools/pair.ts";

const LINK_BYTES_PER_SEC = 12_500_000;
const GUEST = { name: "guest", memoryMib: 160, setMib: 48, pagesPerSec: 4_000, mode: "words" } as const;
const ENDS = new Set([
  ...RULES.flatMap(({ action, name }) => (action === "switch" ? [name] : [])),
  "nothing-left",
]);

function assertMoved(report: Report): void {
  assert.equal(report.error, null);
  assert.deepEqual([report.status, report.equal], ["completed", true]);
  assert(report.blackoutMs !== null && report.downtimeMs !== null);
  assert.equal(report.engine?.name, "auto");
  assert(report.wireBytes.forward < report.streamBytes, "encodings save something");
  const { rule, decisions } = report.switchover ?? { rule: null, decisions: [] };
  assert(rule !== null && ENDS.has(rule), `ended by ${rule}`);
  assert.equal(decisions[0]?.rule, "first-pass");
  assert.equal(decisions.at(-1)?.rule, rule);
}

const { qemus } = artefacts();

for (const qemu of qemus) {
  describe(`QEMU ${qemu.version}`, () => {
    let from: Host;
    let to: Host;
    before(async () => {
      from = await Host.start({ name: "a", qemu });
      to = await Host.start({ name: "b", qemu });
      await startGuest(from, GUEST);
    });
    after(async () => {
      await Promise.all([from?.end(), to?.end()]);
    });

    if (qemu === qemus[0]) converges(() => ({ from, to }));
    if (qemu === qemus.at(-1)) followsTheGuest(() => ({ from, to }));
  });
}

type Hosts = () => { readonly from: Host; readonly to: Host };

function converges(hosts: Hosts): void {
  test("converges by what crosses, not by what is written", async (t) => {
    const { from, to } = hosts();
    const order = { vm: "guest", to: to.peer, bandwidthBytesPerSec: LINK_BYTES_PER_SEC, timeoutMs: 60_000 };
    const report = await from.migrate(order);
    t.diagnostic(JSON.stringify({ ...report, engine: undefined }));
    assertMoved(report);
    await verified(to, "guest", 2);
  });
}

function followsTheGuest(hosts: Hosts): void {
  test("begins at MIN, and follows the guest up to MAX", async (t) => {
    const { from, to } = hosts();
    const minBytesPerSec = 6_000_000;
    const id = await from.begin({
      ...{ vm: "guest", to: to.peer, timeoutMs: 60_000 },
      ...{ bandwidthMinBytesPerSec: minBytesPerSec, bandwidthBytesPerSec: LINK_BYTES_PER_SEC },
    });
    let firstPassBytesPerSec = 0;
    await until(
      async () => {
        const { ended, pass, wireBytesPerSec } = await from.status(id);
        if (pass === 1) firstPassBytesPerSec = Math.max(firstPassBytesPerSec, wireBytesPerSec ?? 0);
        return ended || (pass ?? 0) > 1;
      },
      "the second pass",
      60_000,
    );
    const report = await from.report(id);
    t.diagnostic(JSON.stringify({ ...report, engine: undefined, firstPassBytesPerSec }));
    assertMoved(report);
    assert(firstPassBytesPerSec > 0 && firstPassBytesPerSec <= 1.25 * minBytesPerSec);
    await verified(to, "guest", 2);
  });
}
