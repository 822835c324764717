/**
 * Goal: a hybrid move of a guest whose writes never fit a stop turns to post-copy by a rule that the report names, before
 * it has carried much more than the memory once; one of a guest that hardly writes ends as pre-copy.
 * Method: two agents, two lab guests: one rewrites 24 MiB with incompressible pages, several times as fast as the link of
 * 8 MB/s carries them; the other is idle. Bytes and rules are judged, not times; the guest's own oracle judges the memory.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import { type Report, RULES } from "../../src/migration/mod.ts";
import { Host, startGuest, verified } from "../tools/pair.ts";

const WRITER = { name: "writer", memoryMib: 104, setMib: 24, pagesPerSec: 8_000, mode: "random" } as const;
const IDLE = { name: "idle", memoryMib: 80, setMib: 8, pagesPerSec: 100, mode: "idle" } as const;
const TURNS = new Set(RULES.flatMap(({ action, name }) => (action === "turn" ? [name] : [])));

let a: Host;
let b: Host;
before(async () => {
  const qemu = artefacts().qemus.at(-1)!;
  [a, b] = await Promise.all([Host.start({ name: "a", qemu }), Host.start({ name: "b", qemu })]);
  await Promise.all([startGuest(a, WRITER), startGuest(b, IDLE)]);
});
after(async () => {
  await Promise.all([a?.end(), b?.end()]);
});

function assertMoved(report: Report): void {
  assert.equal(report.error, null);
  assert.deepEqual([report.status, report.equal], ["completed", true]);
  const { rule, decisions } = report.switchover ?? { rule: null, decisions: [] };
  assert.equal(decisions[0]?.rule, "first-pass");
  assert.equal(decisions.at(-1)?.rule, rule, "and when: the last decision");
}

test("a writer that never converges: by post-copy, after about one pass over the memory", async (t) => {
  const order = { vm: "writer", to: b.peer, strategy: "hybrid" } as const;
  const report = await a.migrate({ ...order, bandwidthBytesPerSec: 8_000_000 });
  t.diagnostic(JSON.stringify({ ...report, engine: undefined }));
  assertMoved(report);
  const { rule, decisions } = report.switchover!;
  assert(rule !== null && TURNS.has(rule), `ended by ${rule}`);
  const turn = decisions.at(-1)!;
  assert(turn.pass >= 2, "not in the first pass");
  assert(turn.atMs > decisions[0]!.atMs && turn.atMs < report.totalTimeMs);
  assert(report.faults > 0, "the guest ran before its pages were there");
  assert(report.wireBytes.forward <= 1.2 * report.ramBytes, `${report.wireBytes.forward} bytes crossed`);
  await verified(b, "writer", 2);
});

test("a guest that hardly writes: without post-copy", async (t) => {
  const report = await b.migrate({ vm: "idle", to: a.peer, strategy: "hybrid" });
  t.diagnostic(JSON.stringify({ ...report, engine: undefined }));
  assertMoved(report);
  const { rule } = report.switchover!;
  assert(rule !== null && !rule.startsWith("post-copy"), `ended by ${rule}`);
  assert.equal(report.faults, 0);
  await verified(a, "idle", 1);
});
