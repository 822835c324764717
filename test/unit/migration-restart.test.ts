/**
 * Goal: after a restart the agent tells the truth about moves that it was in, and undoes only what never ran.
 * Method: records as a dead agent would leave them, in a real history; VMs and their monitors are stand-ins that note
 * what is asked of them. That a whole migration works is judged elsewhere, with real QEMUs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { systemClock } from "../../src/agent/clock.ts";
import type { AgentContext, Vm } from "../../src/agent/context.ts";
import { SqliteHistory } from "../../src/agent/history.ts";
import type { SourceRecord, TargetRecord } from "../../src/agent/migrate/records.ts";
import { pastStatus, settleLeftOver } from "../../src/agent/migrate/restart.ts";
import {
  type Report,
  type SourcePhase,
  sourceStart,
  type TargetPhase,
  targetStart,
} from "../../src/migration/mod.ts";

function world(options: { incoming: boolean; alive?: boolean }) {
  const asked: string[] = [];
  let running = false;
  const execute = async (command: string) => {
    asked.push(command);
    if (command === "cont") running = true;
    if (command === "query-status") return { running, status: running ? "running" : "paused" };
    return {};
  };
  const monitor = { execute, main: { isClosed: false } };
  const vm = { name: "vm", monitor, qemuVersion: "7.2.22", incoming: options.incoming } as unknown as Vm;
  const history = new SqliteHistory(":memory:", systemClock);
  const vms = {
    find: () => (options.alive === false ? null : vm),
    discard: async () => void asked.push("discard"),
    confirm: async () => void asked.push("confirm"),
  };
  const log = pino({ level: "silent" });
  const context = { host: "h", clock: systemClock, history, vms, log } as unknown as AgentContext;
  return { asked, context, history };
}

function departed(phase: SourcePhase): SourceRecord {
  const order = {
    vm: "vm",
    to: "127.0.0.1:1",
    strategy: "precopy",
    onTimeout: "abort",
  } as SourceRecord["order"];
  const state = { ...sourceStart({ strategy: "precopy", onTimeout: "abort" }), phase };
  const startedAt = new Date(systemClock.wallMs() - 1000).toISOString();
  return { side: "source", id: "m-1", vm: "vm", to: order.to, order, startedAt, state };
}

function arrived(phase: TargetPhase, delivered = false): TargetRecord {
  return { side: "target", id: "m-1", vm: "vm", state: { ...targetStart(), phase, delivered } };
}

test("a guest that never could have left is made to run again, and the report says aborted", async () => {
  const { asked, context, history } = world({ incoming: false });
  history.put("state", "m-1", "vm", departed("precopy"));
  await settleLeftOver(context);
  assert(asked.includes("cont"));
  const status = pastStatus(context, "m-1");
  assert.equal(status?.phase, "aborted");
  assert.equal(history.get<Report>("report", "m-1")?.error?.code, "AGENT_RESTARTED");
  assert.equal(history.get("state", "m-1"), null);
});

for (const phase of ["handover", "loaded", "postcopy", "undoing", "inDoubt"] as const) {
  test(`after ${phase} nothing is started: it is in doubt, and the record stays`, async () => {
    const { asked, context, history } = world({ incoming: false });
    history.put("state", "m-1", "vm", departed(phase));
    await settleLeftOver(context);
    assert.deepEqual(asked, []);
    assert.equal(history.get<Report>("report", "m-1")?.status, "inDoubt");
    assert.notEqual(history.get("state", "m-1"), null);
  });
}

test("a source whose QEMU has gone too is lost, not aborted", async () => {
  const { context, history } = world({ incoming: false, alive: false });
  history.put("state", "m-1", "vm", departed("precopy"));
  await settleLeftOver(context);
  assert.equal(history.get<Report>("report", "m-1")?.status, "lost");
});

const arrivals: [TargetRecord, string[], TargetPhase][] = [
  [arrived("preparing"), ["discard"], "discarded"],
  [arrived("committed", true), ["cont", "confirm"], "running"],
  [arrived("committed", false), [], "lost"],
  [arrived("postcopy"), [], "lost"],
  [arrived("running", true), [], "running"],
];
for (const [record, does, phase] of arrivals) {
  const what = `${record.state.phase}${record.state.delivered ? " with everything here" : ""}`;
  test(`the arbiter finds ${what}: ${phase}`, async () => {
    const { asked, context, history } = world({ incoming: true });
    history.put("state", "m-1", "vm", record);
    await settleLeftOver(context);
    assert.deepEqual(asked, does);
    assert.equal(history.get<TargetRecord>("state", "m-1")?.state.phase, phase);
  });
}
