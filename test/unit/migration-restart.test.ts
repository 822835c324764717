/**
 * Goal: after a restart the agent tells the truth about moves that it was in, and undoes only what never ran.
 * Method: test/tools/leftOver.ts. That whole migrations go on is judged in test/fault/agent-restart.test.ts, with real
 * QEMUs and agents that are killed.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import type { TargetRecord } from "../../src/agent/migrate/records.ts";
import type { Report, TargetPhase } from "../../src/migration/mod.ts";
import { processId } from "../../src/qemu/mod.ts";
import { arrived, departed, leftOver } from "../tools/leftOver.ts";
import { until } from "../tools/pair.ts";

test("a guest that never could have left is made to run again, and the report says aborted", async () => {
  const { asked, history, restart } = leftOver();
  history.put("state", "m-1", "vm", departed("preparing"));
  const { departures } = await restart("aborted");
  assert(asked.includes("cont"));
  await until(async () => departures.status("m-1").ended, "the report", 10_000);
  assert.equal(history.get<Report>("report", "m-1")?.error?.code, "AGENT_RESTARTED");
  assert.equal(history.get("state", "m-1"), null);
});

test("a move comes to its end also when its record cannot be removed, the disk being full", async () => {
  const { history, restart } = leftOver();
  history.put("state", "m-1", "vm", departed("preparing"));
  history.remove = () => {
    throw new Error("database or disk is full");
  };
  const { departures } = await restart("aborted");
  await until(async () => departures.status("m-1").ended, "the report", 10_000);
});

test("with SHUT released and QEMU not completed no commit was sent: the guest runs again", async () => {
  const { asked, history, restart } = leftOver({ migration: "failed" });
  history.put("state", "m-1", "vm", departed("loaded"));
  await restart("aborted");
  assert(asked.includes("cont"));
});

test("what is in doubt stays so while the target does not answer: said, and nothing is started", async () => {
  const { asked, history, restart } = leftOver({ migration: "completed" });
  history.put("state", "m-1", "vm", departed("inDoubt"));
  const { departures } = await restart("inDoubt");
  assert.equal(departures.status("m-1").ended, true);
  await departures.stop();
  assert.deepEqual(asked, []);
  assert.notEqual(history.get("state", "m-1"), null);
});

test("post-copy without a relay goes on being recovered, and nothing is started here", async () => {
  const { asked, history, restart } = leftOver({ migration: "completed" });
  history.put("state", "m-1", "vm", departed("recovering"));
  const { departures } = await restart("recovering");
  assert.deepEqual(asked, []);
  await departures.stop();
});

test("a relay that outlived its agent is watched, and not ended with the next agent", async () => {
  const { history, restart } = leftOver({ migration: "completed" });
  const other = spawn("sleep", ["60"]);
  const gone = once(other, "exit");
  try {
    await once(other, "spawn");
    history.put("state", "m-1", "vm", departed("postcopy", { relay: processId(other.pid!) }));
    const { departures } = await restart("postcopy");
    await departures.stop();
    assert.notEqual(processId(other.pid!), null);
  } finally {
    other.kill();
    await gone;
  }
});

test("a source whose QEMU has gone too is lost, not aborted", async () => {
  const { history, restart } = leftOver({ alive: false });
  history.put("state", "m-1", "vm", departed("preparing"));
  const { departures } = await restart("lost");
  await until(async () => departures.status("m-1").ended, "the report", 10_000);
  assert.equal(history.get<Report>("report", "m-1")?.status, "lost");
});

test("a move whose agent died just after its end still gets its report, and its QEMU is dropped", async () => {
  const { asked, history, restart } = leftOver({ migration: "completed" });
  history.put("state", "m-1", "vm", departed("completed"));
  const { departures } = await restart("completed");
  await until(async () => departures.status("m-1").ended, "the report", 10_000);
  assert.equal(history.get<Report>("report", "m-1")?.status, "completed");
  assert.deepEqual(asked, ["discard"]);
});

const arrivals: [TargetRecord, string[], TargetPhase][] = [
  [arrived("preparing"), ["discard"], "discarded"],
  [arrived("committed", true), ["cont", "confirm"], "running"],
  [arrived("running", true), ["confirm"], "running"],
];
for (const [record, does, phase] of arrivals) {
  const what = `${record.state.phase}${record.state.delivered ? " with everything here" : ""}`;
  test(`the arbiter finds ${what}: ${phase}`, async () => {
    const { asked, history, restart } = leftOver({ incoming: true });
    history.put("state", "m-1", "vm", record);
    await restart(null);
    assert.deepEqual(asked, does);
    assert.equal(history.get<TargetRecord>("state", "m-1")?.state.phase, phase);
  });
}

test("the arbiter finds a guest that ran here, and its QEMU dead: lost", async () => {
  const { history, restart } = leftOver({ alive: false });
  history.put("state", "m-1", "vm", arrived("postcopy"));
  await restart(null);
  assert.equal(history.get<TargetRecord>("state", "m-1")?.state.phase, "lost");
});

test("the arbiter finds pages missing and no relay: interrupted; QEMU has everything: running", async () => {
  const waits = leftOver();
  waits.history.put("state", "m-1", "vm", arrived("postcopy"));
  const context = await waits.restart("aborted"); // of the source nothing is known: it only waits for the first look
  assert.equal(context.arrivals.find("m-1")?.phase, "interrupted");
  const whole = leftOver({ migration: "completed" });
  whole.history.put("state", "m-1", "vm", arrived("postcopy"));
  await whole.restart(null);
  assert.equal(whole.history.get<TargetRecord>("state", "m-1")?.state.phase, "running");
});

test("a VM that has the name of one that had left, or was lost, is left alone", async () => {
  const { asked, history, restart } = leftOver({ migration: "completed" });
  history.put("state", "m-1", "vm", departed("completed", { qemuPid: 4711 }));
  const { departures } = await restart("completed");
  await until(async () => departures.status("m-1").ended, "the report", 10_000);
  assert.deepEqual(asked, []);
  const came = leftOver({ incoming: true });
  came.history.put("state", "m-1", "vm", arrived("running", true, { qemuPid: 4711 }));
  await came.restart(null);
  assert.deepEqual(came.asked, []);
  const runs = leftOver();
  runs.history.put("state", "m-1", "vm", arrived("preparing"));
  await runs.restart(null);
  assert.deepEqual(runs.asked, []);
});
