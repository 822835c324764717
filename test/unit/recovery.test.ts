/**
 * Goal: by no evidence may a guest be run that may run elsewhere; what was not seen counts as the worst.
 * Method: every combination of phases and QEMUs into the pure advice; then the sentences that users act on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecoveryBody } from "../../src/agent/mod.ts";
import { recoveryText } from "../../src/cli/recover.ts";
import {
  adviseSource,
  adviseTarget,
  type OtherSeen,
  type QemuSeen,
  type SideSeen,
  SOURCE_EDGES,
  SOURCE_UNSETTLED,
  type SourcePhase,
  TARGET_EDGES,
  TARGET_UNSETTLED,
  type TargetPhase,
} from "../../src/migration/mod.ts";

const STILL: QemuSeen = { running: false, status: "postmigrate", migration: "completed" };
const RUNS: QemuSeen = { running: true, status: "running", migration: "completed" };
const UNSEEN: OtherSeen = { unseen: "no agent answers" };

function side(phase: SideSeen["phase"], qemu: QemuSeen | null = STILL): SideSeen {
  return { host: "h", phase, since: null, qemu };
}

const targets = [...(Object.keys(TARGET_EDGES) as TargetPhase[]), null];
const sources = [...(Object.keys(SOURCE_EDGES) as SourcePhase[]), null];

test("the source runs its guest by order only when nothing can run at the target", () => {
  for (const here of SOURCE_UNSETTLED) {
    assert.equal(adviseSource(side(here), UNSEEN).resume, "fenced");
    for (const there of targets)
      for (const qemu of [null, STILL, RUNS]) {
        const { resume, settle } = adviseSource(side(here), side(there, qemu));
        const never = there === "discarded" || (there === "lost" && qemu === null);
        const may = qemu === RUNS ? "no" : never ? "yes" : there === null && qemu === null ? "fenced" : "no";
        assert.equal(resume, may, `${here}, there ${there} ${qemu?.status}`);
        if (settle === "resume") assert.equal(there, "discarded");
      }
  }
});

test("the target runs a guest by order only when all of it is here and the source cannot", () => {
  for (const here of TARGET_UNSETTLED) {
    assert.equal(adviseTarget(side(here), UNSEEN).resume, here === "loaded" ? "fenced" : "no");
    for (const there of sources)
      for (const qemu of [null, STILL, RUNS]) {
        const { resume } = adviseTarget(side(here), side(there, qemu));
        if (resume === "no") continue;
        assert.equal(here, "loaded");
        assert.notEqual(qemu, RUNS);
        if (resume === "yes") assert.equal(qemu, null, `the source holds it, ${there}`);
      }
  }
});

test("a source holds on to its guest while it may be the only one", () => {
  for (const here of SOURCE_UNSETTLED)
    for (const there of [UNSEEN, ...targets.map((phase) => side(phase))])
      if (here !== "lost") assert.equal(adviseSource(side(here), there).discard, "no");
});

test("what the source still brings is given up only when its host is fenced", () => {
  for (const here of ["postcopy", "interrupted"] as const) {
    assert.equal(adviseTarget(side(here), UNSEEN).discard, "fenced");
    assert.equal(adviseTarget(side(here), side("recovering")).discard, "no");
    assert.equal(adviseTarget(side(here), side("lost")).discard, "yes");
    assert.equal(adviseTarget(side(here), side("aborted", RUNS)).settle, "discard");
  }
});

test("people read what is seen on both hosts, and what they may order", () => {
  const here = { ...side("inDoubt"), since: new Date(0).toISOString() };
  const advice = adviseSource(here, UNSEEN);
  const body: RecoveryBody = {
    ...{ id: "m-1", vm: "web", side: "source", phase: "inDoubt", address: "b:1", here, there: UNSEEN },
    ...{ advice, done: null },
  };
  assert.equal(
    recoveryText(body, 65_000),
    [
      "web (m-1): inDoubt",
      "  source, here   host h: inDoubt for 1 min 5 s; its QEMU does not run the guest (postmigrate, its migration completed)",
      "  target, there  not seen: no agent answers",
      "  The target's host may run the guest, and its agent cannot be asked: no agent answers.",
      "  Possible now: --resume-here --other-host-is-fenced (once that is so)",
    ].join("\n"),
  );
});
