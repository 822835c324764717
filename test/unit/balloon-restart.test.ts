/**
 * Goal: a guest that was made smaller for a move gets back what was taken, also when the agent died in the middle, and
 * only where the guest runs.
 * Method: test/tools/leftOver.ts. That a real guest follows is judged in test/qemu/balloon.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SourceRecord, TargetRecord } from "../../src/agent/migrate/records.ts";
import type { Report, SourcePhase } from "../../src/migration/mod.ts";
import { arrived, departed, leftOver } from "../tools/leftOver.ts";
import { until } from "../tools/pair.ts";

const BYTES = 256 * 2 ** 20;

async function restart(record: SourceRecord | TargetRecord, end: SourcePhase | null, balloonWorks = true) {
  const world = leftOver({ balloonWorks, migration: "completed" });
  world.history.put("state", record.id, "vm", record);
  const { departures } = await world.restart(end);
  if (end === "aborted") await until(async () => departures.status("m-1").ended, "the report", 10_000);
  await departures.stop();
  return world;
}

const leaving = (phase: SourcePhase) => departed(phase, { balloonBytes: BYTES });

test("a source whose guest could not have left gives it back, once it runs", async () => {
  const { given, history } = await restart(leaving("preparing"), "aborted");
  assert.deepEqual(given, [BYTES]);
  assert.equal(history.get<Report>("report", "m-1")?.status, "aborted");
});

test("a source in doubt gives nothing back: the guest may run elsewhere", async () => {
  const { given } = await restart(leaving("recovering"), "recovering");
  assert.deepEqual(given, []);
});

test("a guest that cannot get it back runs all the same, and the report does not call it lost", async () => {
  const { history } = await restart(leaving("preparing"), "aborted", false);
  assert.equal(history.get<Report>("report", "m-1")?.status, "aborted");
});

test("a target gives it back to a guest that it starts, and to one that runs already; and once only", async () => {
  for (const phase of ["committed", "running"] as const) {
    const {
      given,
      history,
      restart: again,
    } = await restart(arrived(phase, true, { balloonBytes: BYTES }), null);
    await until(async () => given.length > 0, "the balloon", 10_000);
    assert.deepEqual(given, [BYTES]);
    assert.equal(history.get<TargetRecord>("state", "m-1")?.balloonBytes, null);
    assert.equal(history.get<TargetRecord>("state", "m-1")?.state.phase, "running");
    await again(null);
    assert.deepEqual(given, [BYTES]);
  }
});

test("a target has nothing to give back for a guest that never ran there, or lost nothing", async () => {
  assert.deepEqual((await restart(arrived("preparing", false, { balloonBytes: BYTES }), null)).given, []);
  assert.deepEqual((await restart(arrived("running", true), null)).given, []);
});
