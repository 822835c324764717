/**
 * Goal: a guest that was made smaller for a move gets back what was taken, also when the agent died in the middle, and
 * only where the guest runs.
 * Method: records as a dead agent would leave them, in a real history; VM and monitor are stand-ins that note what is asked
 * of them. That a real guest follows is judged in test/qemu/balloon.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { systemClock } from "../../src/agent/clock.ts";
import type { AgentContext } from "../../src/agent/context.ts";
import { SqliteHistory } from "../../src/agent/history.ts";
import type { SourceRecord, TargetRecord } from "../../src/agent/migrate/records.ts";
import { settleLeftOver } from "../../src/agent/migrate/restart.ts";
import {
  type Report,
  type SourcePhase,
  sourceStart,
  type TargetPhase,
  targetStart,
} from "../../src/migration/mod.ts";

const BYTES = 256 * 2 ** 20;

async function restart(record: SourceRecord | TargetRecord, options: { balloonWorks?: boolean } = {}) {
  const given: number[] = [];
  let running = false;
  const execute = async (command: string, args: { value?: number } = {}) => {
    if (command === "cont") running = true;
    if (command === "query-status") return { running, status: running ? "running" : "paused" };
    if (command === "qom-list") return [{ name: "balloon0", type: "child<virtio-balloon-pci>" }];
    if (command === "balloon" && options.balloonWorks === false) throw new Error("no");
    if (command === "balloon") given.push(args.value!);
    return {};
  };
  const vm = { name: "vm", monitor: { execute, main: { isClosed: false } }, incoming: false };
  const history = new SqliteHistory(":memory:", systemClock);
  const vms = { find: () => vm, discard: async () => {}, confirm: async () => {} };
  const log = pino({ level: "silent" });
  const context = { host: "h", clock: systemClock, history, vms, log } as unknown as AgentContext;
  history.put("state", record.id, "vm", record);
  await settleLeftOver(context);
  return { given, history, again: () => settleLeftOver(context) };
}

function departed(phase: SourcePhase): SourceRecord {
  const [strategy, onTimeout] = ["precopy", "abort"] as const;
  const order = { vm: "vm", to: "127.0.0.1:1", strategy, onTimeout } as SourceRecord["order"];
  const state = { ...sourceStart({ strategy, onTimeout }), phase };
  const startedAt = new Date(systemClock.wallMs() - 1000).toISOString();
  return { side: "source", id: "m-1", vm: "vm", to: order.to, order, startedAt, balloonBytes: BYTES, state };
}

function arrived(phase: TargetPhase, balloonBytes: number | null = BYTES): TargetRecord {
  return {
    ...{ side: "target", id: "m-1", vm: "vm", balloonBytes },
    state: { ...targetStart(), phase, delivered: true },
  };
}

test("a source whose guest could not have left gives it back, once it runs", async () => {
  const { given, history } = await restart(departed("precopy"));
  assert.deepEqual(given, [BYTES]);
  assert.equal(history.get<Report>("report", "m-1")?.status, "aborted");
});

test("a source in doubt gives nothing back: the guest may run elsewhere", async () => {
  const { given } = await restart(departed("loaded"));
  assert.deepEqual(given, []);
});

test("a guest that cannot get it back runs all the same, and the report does not call it lost", async () => {
  const { history } = await restart(departed("precopy"), { balloonWorks: false });
  assert.equal(history.get<Report>("report", "m-1")?.status, "aborted");
});

test("a target gives it back to a guest that it starts, and to one that runs already; and once only", async () => {
  for (const phase of ["committed", "running"] as const) {
    const { given, history, again } = await restart(arrived(phase));
    assert.deepEqual(given, [BYTES]);
    assert.equal(history.get<TargetRecord>("state", "m-1")?.balloonBytes, null);
    assert.equal(history.get<TargetRecord>("state", "m-1")?.state.phase, "running");
    await again();
    assert.deepEqual(given, [BYTES]);
  }
});

test("a target has nothing to give back for a guest that never ran there, or lost nothing", async () => {
  assert.deepEqual((await restart(arrived("ready"))).given, []);
  assert.deepEqual((await restart(arrived("running", null))).given, []);
});
