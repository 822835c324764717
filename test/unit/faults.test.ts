/**
 * Goal: the matrix of faults judges by its promises and nothing else, its page says what its results say, and a trap
 * strikes at its line.
 * Method: what could be seen after a fault, judged; the page as it is against the page as it would be written; a trap for
 * a process of this test.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CASES } from "../../lab/faults/list.ts";
import { faultsPage } from "../../lab/faults/page.ts";
import { broken } from "../../lab/faults/promise.ts";
import { keepResult, readResult, resultOf } from "../../lab/faults/result.ts";
import { setTrap, spring, struckBy } from "../../lab/faults/trapFile.ts";
import type { FaultRow, FaultSeen } from "../../lab/faults/types.ts";

const WELL: FaultSeen = {
  ...{ runs: "target", everBoth: false, oracle: "clean", equal: true, status: "completed", error: null },
  ...{ truthful: true, again: "worked", settledMs: 10 },
};
const UNDONE: FaultSeen = { ...WELL, runs: "source", equal: null, status: "aborted" };
const LOST: FaultSeen = {
  ...WELL,
  runs: "none",
  oracle: "none",
  equal: null,
  status: "lost",
  again: "no guest",
};

test("a promise is kept by what it allows", () => {
  assert.deepEqual(broken("completes", WELL), []);
  assert.deepEqual(broken("survives", WELL), []);
  assert.deepEqual(broken("survives", UNDONE), []);
  assert.deepEqual(broken("source", UNDONE), []);
  assert.deepEqual(broken("mayBeLost", LOST), []);
  assert.deepEqual(broken("mayBeLost", WELL), []);
});

test("each rule breaks a promise by itself", () => {
  const worse: Partial<FaultSeen>[] = [
    ...[{ everBoth: true }, { runs: "both" as const }, { oracle: "corrupt" as const }, { equal: false }],
    ...[{ truthful: false }, { again: "failed" as const }, { oracle: "none" as const }],
  ];
  for (const one of worse)
    assert.equal(broken("survives", { ...WELL, ...one }).length, 1, JSON.stringify(one));
  assert.notDeepEqual(broken("completes", UNDONE), []);
  assert.notDeepEqual(broken("completes", { ...WELL, equal: null }), []);
  assert.notDeepEqual(broken("source", WELL), []);
  assert.notDeepEqual(broken("survives", LOST), []);
  assert.notDeepEqual(broken("mayBeLost", { ...LOST, truthful: false }), []);
  assert.notDeepEqual(
    broken("mayBeLost", { ...LOST, again: "failed" }),
    [],
    "a guest that is left must be movable",
  );
});

test("no two cases have the same name", () => {
  const names = CASES.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

test("docs/faults.md is what the kept results say (npm run faults -- --page)", () => {
  const { is, shouldBe } = faultsPage();
  assert.ok(is === shouldBe, "it is not: run npm run faults -- --page");
});

test("a result keeps rows of other cases and replaces those that were run again", () => {
  const dir = mkdtempSync(join(tmpdir(), "gw-faults-"));
  try {
    const path = join(dir, "result.json");
    const row = (name: string, qemu: string, problem: string | null): FaultRow => ({
      ...{ name, group: "g", system: "godwit", strategy: "precopy", moment: "m", fault: "f", qemu, problem },
      ...{ seen: null, promise: "survives", kept: null, at: "2026-01-01T00:00:00.000Z" },
    });
    keepResult(path, resultOf("first", [row("a", "1", "old"), row("a", "2", null), row("b", "1", null)]));
    keepResult(path, resultOf("second", [row("a", "1", "new")]));
    const { command, rows } = readResult(path);
    assert.equal(command, "second");
    assert.deepEqual(
      rows.map(({ name, qemu, problem }) => [name, qemu, problem]),
      [
        ["a", "1", "new"],
        ["a", "2", null],
        ["b", "1", null],
      ],
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("a trap springs once, at the line that has all its texts, and strikes the process that it names", async () => {
  const dir = mkdtempSync(join(tmpdir(), "gw-faults-"));
  const victim = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)", join(dir, "mark")]);
  try {
    const path = join(dir, "trap");
    await once(victim, "spawn");
    setTrap(path, {
      ...{ texts: ["one", "two"], role: "QEMU", signal: "SIGKILL" },
      marks: { agentPid: 0, qemuMark: join(dir, "mark") },
    });
    spring(path, "one");
    assert.equal(struckBy(path), null);
    const gone = once(victim, "exit");
    spring(path, "two and one");
    assert.equal(struckBy(path), victim.pid);
    assert.deepEqual(await gone, [null, "SIGKILL"]);
    spring(path, "two and one");
    assert.equal(struckBy(path), victim.pid);
  } finally {
    victim.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
});
