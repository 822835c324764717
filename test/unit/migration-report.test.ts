/**
 * Goal: a report has the same names whoever makes it, and null where nobody could know.
 * Method: both builders on the same figures.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { agentReport, type CarriedFigures, relayReport } from "../../src/migration/mod.ts";

const carried: CarriedFigures = {
  elapsedMs: 1200,
  ramBytes: 512 << 20,
  streamBytes: 70_000,
  wireBytes: { forward: 71_000, backward: 900 },
  pages: { sent: 30, zero: 10, raw: 17, encoded: 3 },
  engine: null,
  paging: null,
  faults: 4,
  reconnects: 1,
  equal: true,
  cpuMs: { source: 110, target: 120 },
  rssBytes: { source: 60 << 20, target: 61 << 20 },
};
const agent = {
  id: "m-1",
  vm: "web",
  strategy: "hybrid",
  status: "completed",
  startedAt: "2025-01-01T00:00:00.000Z",
  totalTimeMs: 1500,
  downtimeMs: 40,
  blackoutMs: null,
  gapAfterResumeMs: null,
  balloon: null,
  switchover: null,
  passes: 3,
  qemu: { source: "7.2.22", target: "10.0.2" },
  error: null,
} as const;

test("both builders give the same names", () => {
  const byAgent = agentReport({ ...agent, carried });
  const byRelay = relayReport({ id: "m-1", startedAt: agent.startedAt, carried, error: null });
  assert.deepEqual(Object.keys(byRelay).sort(), Object.keys(byAgent).sort());
  assert.deepEqual(byAgent.pages, carried.pages);
  assert.equal(byAgent.totalTimeMs, 1500);
  assert.equal(byRelay.totalTimeMs, 1200);
  assert.equal(byRelay.vm, null);
  assert.equal(byRelay.downtimeMs, null);
});

test("an error makes a relay's report aborted", () => {
  const error = { code: "LINK_LOST", fields: {}, message: "" };
  assert.equal(relayReport({ id: "", startedAt: "", carried, error }).status, "aborted");
});

test("a migration without a relay has zeros for what crossed and null for what was not measured", () => {
  const report = agentReport({ ...agent, status: "refused", carried: undefined });
  assert.equal(report.wireBytes.forward, 0);
  assert.equal(report.equal, null);
  assert.equal(report.cpuMs.source, null);
});
