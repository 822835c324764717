/**
 * Goal: each rule of the commit, of the strategies and of undoing, one by one.
 * Method: events into the pure steps; phases and effects compared.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  canCancel,
  canPostcopy,
  InvariantBroken,
  type Plan,
  reportedError,
  SOURCE_EDGES,
  type SourceEffect,
  type SourceEvent,
  type SourceState,
  sourceStart,
  sourceStep,
  TARGET_EDGES,
  type TargetEffect,
  type TargetEvent,
  type TargetPhase,
  targetStart,
  targetStep,
} from "../../src/migration/mod.ts";

const ERROR = { code: "TEST", fields: {}, message: "made by the test" };
const PRECOPY: Plan = { strategy: "precopy", onTimeout: "abort" };
const EQUAL: SourceEvent & TargetEvent = { type: "verdict", barrier: "end", equal: true };
const UNEQUAL: SourceEvent & TargetEvent = { type: "verdict", barrier: "end", equal: false };
const TO_PRECOPY: SourceEvent[] = [{ type: "targetReady" }, { type: "relayReady" }];

function source(
  plan: Plan,
  ...events: SourceEvent[]
): { state: SourceState; effects: readonly SourceEffect[] } {
  let state = sourceStart(plan);
  let effects: readonly SourceEffect[] = [];
  for (const event of events) [state, effects] = sourceStep(state, event);
  return { state, effects };
}

function target(...events: TargetEvent[]) {
  let state = targetStart();
  let effects: readonly TargetEffect[] = [];
  for (const event of events) [state, effects] = targetStep(state, event);
  return { state, effects };
}

test("pre-copy commits in this order: loaded, SHUT, completed, commit, drop", () => {
  const events: SourceEvent[] = [...TO_PRECOPY, { type: "guestStopped" }, EQUAL];
  assert.equal(source(PRECOPY, ...events).state.phase, "switchover");
  events.push({ type: "targetLoaded" });
  assert.deepEqual(source(PRECOPY, ...events).effects, ["releaseShut"]);
  events.push({ type: "qemuStatus", status: "completed" });
  assert.deepEqual(source(PRECOPY, ...events).effects, ["sendCommit"]);
  events.push({ type: "targetSays", phase: "running" });
  const { state, effects } = source(PRECOPY, ...events);
  assert.equal(state.phase, "completed");
  assert.deepEqual(effects, ["report", "stopRelay", "dropSource"]);
});

test("stop-and-copy stops the guest before migrate", () => {
  const { effects } = source({ ...PRECOPY, strategy: "stop-and-copy" }, ...TO_PRECOPY);
  assert.deepEqual(effects, ["configure", "stopGuest", "migrate"]);
});

test("post-copy starts at once, hybrid when it is told, and both only when the guest is held", () => {
  const active: SourceEvent = { type: "qemuStatus", status: "active" };
  const postcopy: Plan = { ...PRECOPY, strategy: "postcopy" };
  const hybrid: Plan = { ...PRECOPY, strategy: "hybrid" };
  assert.deepEqual(source(postcopy, ...TO_PRECOPY, active).effects, ["slowStream", "stopGuest"]);
  const held: SourceEvent = { type: "guestHeld" };
  assert.deepEqual(source(postcopy, ...TO_PRECOPY, active, held).effects, ["startPostcopy"]);
  const turned: SourceEvent = { type: "qemuStatus", status: "postcopy-active" };
  assert.deepEqual(source(postcopy, ...TO_PRECOPY, active, held, turned).effects, ["hurryStream"]);
  assert.deepEqual(source(hybrid, ...TO_PRECOPY, active).effects, []);
  assert.deepEqual(source(hybrid, ...TO_PRECOPY, active, { type: "pass", pass: 2 }).effects, []);
  assert.deepEqual(source(hybrid, ...TO_PRECOPY, { type: "postcopy" }).effects, ["slowStream", "stopGuest"]);
});

test("post-copy cannot be ordered where its capability was not set", () => {
  assert.deepEqual(source(PRECOPY, ...TO_PRECOPY, { type: "postcopy" }).effects, []);
  assert.equal(canPostcopy(source(PRECOPY, ...TO_PRECOPY).state), false);
  assert.equal(canPostcopy(source({ ...PRECOPY, onTimeout: "postcopy" }, ...TO_PRECOPY).state), true);
});

test("the time limit does what was ordered, and not once the switchover is under way", () => {
  const late: SourceEvent[] = [...TO_PRECOPY, { type: "timeout" }];
  assert.equal(source(PRECOPY, ...late).state.phase, "aborting");
  assert.equal(source(PRECOPY, ...late).state.error?.code, "MIGRATION_TIMEOUT");
  assert.deepEqual(source({ ...PRECOPY, onTimeout: "stop" }, ...late).effects, ["stopGuest"]);
  assert.deepEqual(source({ ...PRECOPY, onTimeout: "postcopy" }, ...late).effects, [
    "slowStream",
    "stopGuest",
  ]);
  const stopped: SourceEvent[] = [...TO_PRECOPY, { type: "guestStopped" }, { type: "timeout" }];
  assert.equal(source(PRECOPY, ...stopped).state.phase, "switchover");
  // A guest that stands still from the start is not left so for longer than was allowed.
  assert.equal(source({ ...PRECOPY, strategy: "stop-and-copy" }, ...stopped).state.phase, "aborting");
});

test("a cancel before the target has loaded leaves the guest running at the source, later it is not obeyed", () => {
  const cancelled = source(PRECOPY, ...TO_PRECOPY, { type: "cancel" });
  assert.deepEqual(cancelled.effects, ["discardTarget", "stopRelay", "resumeSource"]);
  assert.equal(sourceStep(cancelled.state, { type: "sourceRuns" })[0].phase, "aborted");
  const loaded = source(PRECOPY, ...TO_PRECOPY, EQUAL, { type: "targetLoaded" }, { type: "cancel" });
  assert.equal(loaded.state.phase, "loaded");
  assert.equal(canCancel("precopy"), true);
  assert.equal(canCancel("loaded"), false);
});

test("without equal digests nothing is committed, on either side", () => {
  assert.equal(source(PRECOPY, ...TO_PRECOPY, UNEQUAL).state.phase, "aborting");
  assert.equal(source(PRECOPY, ...TO_PRECOPY, { type: "targetLoaded" }).state.phase, "aborting");
  assert.equal(target({ type: "started" }, { type: "linkUp" }, UNEQUAL).state.phase, "discarding");
  assert.equal(
    target({ type: "started" }, { type: "linkUp" }, { type: "targetLoaded" }).state.phase,
    "discarding",
  );
});

test("no answer to the commit is in doubt: said, the source stays still, and only the target's word ends it", () => {
  const events: SourceEvent[] = [
    ...TO_PRECOPY,
    EQUAL,
    { type: "targetLoaded" },
    { type: "qemuStatus", status: "completed" },
    { type: "targetSays", phase: undefined },
  ];
  const { state, effects } = source(PRECOPY, ...events);
  assert.deepEqual(effects, ["report", "askLater"]);
  assert.equal(reportedError(state)?.code, "IN_DOUBT");
  const answers = {
    running: "completed",
    discarded: "aborting",
    loaded: "committing",
    lost: "inDoubt",
  } as const;
  for (const [phase, next] of Object.entries(answers)) {
    const [after] = sourceStep(state, { type: "targetSays", phase: phase as keyof typeof answers });
    assert.equal(after.phase, next, `target says ${phase}`);
  }
});

test("post-copy is refused on a link that was lost in pre-copy, by whatever it was ordered, unless it is forced", () => {
  const hybrid: Plan = { ...PRECOPY, strategy: "hybrid" };
  const late: Plan = { ...PRECOPY, onTimeout: "postcopy" };
  const now: Plan = { ...PRECOPY, strategy: "postcopy" };
  const orders: [Plan, SourceEvent][] = [
    [hybrid, { type: "postcopy" }],
    [late, { type: "timeout" }],
    [now, { type: "qemuStatus", status: "active" }],
  ];
  for (const [plan, order] of orders) {
    const dropped: SourceEvent[] = [...TO_PRECOPY, { type: "linkLost" }, order];
    const refused = source(plan, ...dropped);
    assert.equal(refused.state.phase, "precopy");
    assert.equal(refused.state.postcopyRefused, true);
    assert.deepEqual(refused.effects, []);
    for (const { state, effects } of [
      source({ ...plan, forcePostcopy: true }, ...dropped),
      source(plan, ...TO_PRECOPY, order),
    ]) {
      assert.equal(state.turning, true);
      assert.deepEqual(effects, ["slowStream", "stopGuest"]);
    }
  }
});

test("a failure once post-copy began asks the arbiter before the source runs again", () => {
  const handover: SourceEvent[] = [...TO_PRECOPY, { type: "postcopy" }, { type: "guestHeld" }];
  const plan: Plan = { ...PRECOPY, strategy: "hybrid" };
  const failed = source(plan, ...handover, { type: "relayEnded", error: ERROR });
  assert.deepEqual(failed.effects, ["askDiscard"]);
  assert.equal(sourceStep(failed.state, { type: "targetSays", phase: "discarded" })[0].phase, "aborting");
  for (const phase of ["postcopy", "interrupted"] as const) {
    const [after, effects] = sourceStep(failed.state, { type: "targetSays", phase });
    assert.deepEqual([after.phase, after.error, effects], ["recovering", null, ["recover"]], phase);
  }
});

test("post-copy that lost its relay is recovered, again and again, until it cannot be", () => {
  const plan: Plan = { ...PRECOPY, strategy: "postcopy" };
  const running: SourceEvent[] = [
    ...TO_PRECOPY,
    { type: "postcopy" },
    { type: "guestHeld" },
    { type: "packageLoaded" },
  ];
  const broken: SourceEvent[] = [...running, { type: "relayEnded", error: ERROR }];
  assert.deepEqual(source(plan, ...broken).effects, ["recover"]);
  const again = source(plan, ...broken, { type: "failed", error: ERROR });
  assert.deepEqual([again.state.phase, again.effects], ["recovering", ["recoverLater"]]);
  assert.deepEqual(sourceStep(again.state, { type: "recoverAgain" })[1], ["recover"]);
  const [back] = sourceStep(again.state, { type: "recovered" });
  assert.equal(back.phase, "postcopy");
  const [over, asksWhether] = sourceStep(back, { type: "relayEnded", error: null });
  assert.deepEqual([over.phase, asksWhether], ["postcopy", ["askTarget"]]);
  assert.equal(sourceStep(over, { type: "targetSays", phase: "running" })[0].phase, "completed");
  const ends = [
    [{ type: "targetSays", phase: "running" }, "completed"],
    [{ type: "targetSays", phase: "lost" }, "lost"],
    [{ type: "failed", error: { ...ERROR, code: "GUEST_MEMORY_CLOSED" } }, "lost"],
  ] as const;
  for (const [event, phase] of ends) assert.equal(sourceStep(again.state, event)[0].phase, phase);
  // Every page may have crossed before the source died: only the target knows.
  const [dead, asks] = sourceStep(again.state, { type: "sourceGone", error: ERROR });
  assert.deepEqual([dead.phase, asks], ["recovering", ["recoverLater"]]);
  assert.equal(sourceStep(dead, { type: "targetSays", phase: "interrupted" })[0].phase, "lost");
  assert.equal(sourceStep(dead, { type: "targetSays", phase: "running" })[0].phase, "completed");
});

test("whether the guest runs at the target is for its agent to say, also when every page has arrived", () => {
  const plan: Plan = { ...PRECOPY, strategy: "postcopy" };
  const events: SourceEvent[] = [{ type: "postcopy" }, { type: "guestHeld" }, { type: "packageLoaded" }];
  const there: SourceEvent[] = [{ type: "targetLoaded" }, { type: "relayEnded", error: ERROR }];
  const { state, effects } = source(plan, ...TO_PRECOPY, ...events, ...there);
  assert.deepEqual([state.phase, effects.at(-1)], ["postcopy", "askTarget"]);
  const says = (phase: TargetPhase | undefined) => sourceStep(state, { type: "targetSays", phase });
  assert.equal(says("running")[0].phase, "completed");
  // It could not record its commit: the guest never ran there, and the source still has all of it.
  assert.equal(says("discarded")[0].phase, "aborting");
  for (const phase of ["committed", "postcopy", undefined] as const)
    assert.deepEqual([says(phase)[0].phase, says(phase)[1]], ["postcopy", ["askLater"]]);
});

test("a link that is lost in the handover may be lost for good: the target is asked", () => {
  const plan: Plan = { ...PRECOPY, strategy: "postcopy" };
  const events: SourceEvent[] = [{ type: "postcopy" }, { type: "guestHeld" }, { type: "linkLost" }];
  const { state, effects } = source(plan, ...TO_PRECOPY, ...events);
  assert.deepEqual([state.phase, effects.at(-1)], ["handover", "askLater"]);
  assert.deepEqual(sourceStep(state, { type: "askAgain" })[1], ["askTarget"]);
  const says = (phase: TargetPhase | undefined) => sourceStep(state, { type: "targetSays", phase });
  assert.deepEqual([says("discarded")[0].phase, says("discarded")[1]], ["undoing", ["askDiscard"]]);
  assert.deepEqual([says("interrupted")[0].phase, says("interrupted")[1]], ["postcopy", ["askLater"]]);
  for (const phase of ["loading", undefined] as const)
    assert.deepEqual([says(phase)[0].phase, says(phase)[1]], ["handover", ["askLater"]]);
  const [back] = sourceStep(state, { type: "linkResumed" });
  assert.deepEqual(sourceStep(back, { type: "askAgain" })[1], []);
});

test("a lost link in pre-copy is no end while the target may come back, and one as soon as it has given up", () => {
  for (const stopped of [[], [{ type: "guestStopped" }]] as const) {
    const lost: SourceEvent[] = [...TO_PRECOPY, ...stopped, { type: "linkLost" }];
    assert.deepEqual(source(PRECOPY, ...lost).effects, ["askLater"]);
    lost.push({ type: "askAgain" });
    assert.deepEqual(source(PRECOPY, ...lost).effects, ["lookAtTarget"]);
    for (const phase of [undefined, "loading", "discarding"] as const)
      assert.deepEqual(source(PRECOPY, ...lost, { type: "targetSays", phase }).effects, ["askLater"]);
    const { state } = source(PRECOPY, ...lost, { type: "targetSays", phase: "discarded", error: ERROR });
    assert.equal(state.phase, "aborting");
    assert.deepEqual(state.error, ERROR);
    const back = source(PRECOPY, ...lost, { type: "linkResumed" }, { type: "askAgain" });
    assert.deepEqual(back.effects, []);
  }
});

test("a target QEMU that died before it said RESUME never ran, unless a former agent had given the order", () => {
  const gone: TargetEvent = { type: "targetGone", error: ERROR };
  const loaded: TargetEvent[] = [{ type: "started" }, { type: "linkUp" }, EQUAL, { type: "targetLoaded" }];
  const never = target(...loaded, { type: "commit" }, gone);
  assert.equal(never.state.phase, "discarding");
  assert.deepEqual(never.effects, ["endTarget"]);
  assert.equal(target(...loaded, { type: "commit" }, { type: "guestRuns" }, gone).state.phase, "running");
  const restarted: TargetEvent = { type: "restarted", error: ERROR, qemu: "completed", carrying: false };
  assert.equal(target(...loaded, { type: "commit" }, restarted, gone).state.phase, "lost");
  const package_: TargetEvent[] = [{ type: "started" }, { type: "linkUp" }, { type: "packageLoaded" }];
  assert.equal(target(...package_, gone).state.phase, "discarding");
  assert.equal(target(...package_, { type: "guestRuns" }, gone).state.phase, "lost");
});

test("while the link is down in post-copy the target is asked whether its relay still is", () => {
  const plan: Plan = { ...PRECOPY, strategy: "postcopy" };
  const running: SourceEvent[] = [
    ...TO_PRECOPY,
    { type: "postcopy" },
    { type: "guestHeld" },
    { type: "packageLoaded" },
  ];
  const down = source(plan, ...running, { type: "linkLost" });
  assert.deepEqual(down.effects, ["askLater"]);
  assert.deepEqual(sourceStep(down.state, { type: "askAgain" })[1], ["askTarget"]);
  assert.deepEqual(sourceStep(down.state, { type: "targetSays", phase: "postcopy" })[1], ["askLater"]);
  assert.deepEqual(sourceStep(down.state, { type: "targetSays", phase: "interrupted" })[1], ["recover"]);
  const up = source(plan, ...running, { type: "linkLost" }, { type: "linkResumed" });
  assert.deepEqual(sourceStep(up.state, { type: "askAgain" })[1], []);
});

test("the first error is kept", () => {
  const { state } = source(
    PRECOPY,
    ...TO_PRECOPY,
    { type: "failed", error: ERROR },
    { type: "sourceGone", error: { ...ERROR, code: "LATER" } },
  );
  assert.equal(state.phase, "lost");
  assert.equal(state.error?.code, "TEST");
});

test("of a guest that cannot be continued it is said that it stands still, and what came before", () => {
  const { state } = source(
    PRECOPY,
    ...TO_PRECOPY,
    { type: "failed", error: { ...ERROR, message: "The target ended" } },
    { type: "sourceStuck", error: { ...ERROR, code: "SOURCE_STUCK", message: "It hangs" } },
  );
  assert.equal(state.phase, "lost");
  assert.equal(state.error?.code, "SOURCE_STUCK");
  assert.equal(state.error?.message, "It hangs. It was undone because: The target ended");
});

test("the target starts its guest on a commit, at once or when its own relay has told that all is there", () => {
  const loading: TargetEvent[] = [{ type: "started" }, { type: "linkUp" }];
  const inOrder = target(...loading, EQUAL, { type: "targetLoaded" }, { type: "commit" });
  const early = target(...loading, { type: "commit" }, EQUAL, { type: "targetLoaded" });
  for (const { state, effects } of [inOrder, early]) {
    assert.equal(state.phase, "committed");
    assert.deepEqual(effects, ["contTarget"]);
    assert.equal(targetStep(state, { type: "guestRuns" })[0].phase, "running");
  }
});

test("the target starts its guest by itself in post-copy, and has it whole when QEMU says SHUT", () => {
  const loading: TargetEvent[] = [
    { type: "started" },
    { type: "linkUp" },
    { type: "verdict", barrier: "package", equal: true },
  ];
  const { state, effects } = target(...loading, { type: "packageLoaded" });
  assert.deepEqual(effects, ["contTarget"]);
  const [postcopy] = targetStep(state, { type: "guestRuns" });
  assert.equal(postcopy.phase, "postcopy");
  assert.equal(targetStep(postcopy, { type: "targetLoaded" })[0].phase, "running");
  const [interrupted] = targetStep(postcopy, { type: "relayEnded", error: ERROR });
  assert.equal(interrupted.phase, "interrupted");
  assert.equal(targetStep(postcopy, { type: "recover" })[0].phase, "interrupted");
  assert.equal(targetStep(interrupted, { type: "recovered" })[0].phase, "postcopy");
  assert.equal(targetStep(interrupted, { type: "targetGone", error: ERROR })[0].phase, "lost");
  assert.equal(targetStep(interrupted, { type: "discard", error: ERROR })[0].phase, "lost");
  const [late] = targetStep(state, { type: "relayEnded", error: ERROR });
  assert.equal(
    targetStep(late, { type: "guestRuns" })[0].phase,
    "interrupted",
    "the relay died before `cont` took effect",
  );
});

test("an owned guest is never discarded, a loaded one only by the source's word", () => {
  const loaded = target({ type: "started" }, { type: "linkUp" }, EQUAL, { type: "targetLoaded" }).state;
  assert.equal(targetStep(loaded, { type: "relayEnded", error: ERROR })[0].phase, "loaded");
  assert.deepEqual(targetStep(loaded, { type: "discard", error: ERROR })[1], ["endTarget"]);
  const [committed] = targetStep(loaded, { type: "commit" });
  assert.deepEqual(targetStep(committed, { type: "discard", error: ERROR }), [committed, []]);
});

test("a step along no edge throws", () => {
  const forged = { ...sourceStart(PRECOPY), phase: "loaded" } as SourceState;
  assert.throws(() => sourceStep(forged, { type: "qemuStatus", status: "completed" }), InvariantBroken);
});

test("every edge leads to a phase of the table, and every phase but the first can be reached", () => {
  for (const edges of [SOURCE_EDGES, TARGET_EDGES] as Record<string, { to: object }>[]) {
    const reached = new Set(["preparing", ...Object.values(edges).flatMap(({ to }) => Object.keys(to))]);
    assert.deepEqual([...reached].sort(), Object.keys(edges).sort());
  }
});

/** What an agent that starts again makes of a source record in this phase. */
function sourceAgain(
  phase: SourceState["phase"],
  seen: { qemu?: "gone" | "completed" | "other"; carrying?: boolean } = {},
) {
  const before: SourceState = { ...sourceStart(PRECOPY), phase, equal: true, delivered: true };
  const { qemu = "other", carrying = false } = seen;
  const [state, effects] = sourceStep(before, { type: "restarted", error: ERROR, qemu, carrying });
  return { phase: state.phase, effects, state };
}

test("a source agent that starts again undoes what nothing irrevocable had followed", () => {
  const undone = { phase: "aborting", effects: ["discardTarget", "stopRelay", "resumeSource"] };
  for (const phase of ["preparing", "aborting", "loaded"] as const) {
    const { state, ...again } = sourceAgain(phase);
    assert.deepEqual(again, undone, phase);
    assert.equal(reportedError(state)?.code, "TEST");
  }
  assert.equal(sourceAgain("preparing", { qemu: "gone" }).phase, "lost");
});

test("a source agent that starts again asks the arbiter where only that knows", () => {
  for (const qemu of ["completed", "gone"] as const) {
    const { phase, effects } = sourceAgain("loaded", { qemu });
    assert.deepEqual({ phase, effects }, { phase: "committing", effects: ["sendCommit"] }, qemu);
  }
  assert.deepEqual(sourceAgain("inDoubt").effects, ["askTarget"]);
  for (const phase of ["handover", "undoing"] as const)
    assert.deepEqual(sourceAgain(phase).effects, ["askDiscard"]);
  assert.deepEqual(sourceAgain("postcopy").effects, ["askTarget"]);
  assert.deepEqual(sourceAgain("postcopy", { qemu: "gone" }).effects, ["askTarget"]);
  assert.deepEqual(sourceAgain("recovering").effects, ["recover"]);
  assert.deepEqual(sourceAgain("recovering", { carrying: true }).effects, ["askTarget"]);
});

test("a relay that outlived its agent is left to its work; where there is none the move is recovered", () => {
  const says = (state: SourceState, phase: "postcopy" | "discarded") =>
    sourceStep(state, { type: "targetSays", phase });
  const [carried, waits] = says(sourceAgain("postcopy", { carrying: true }).state, "postcopy");
  assert.deepEqual([carried.phase, waits], ["postcopy", ["askLater"]]);
  const [alone, recovers] = says({ ...sourceAgain("postcopy").state, delivered: false }, "postcopy");
  assert.deepEqual([alone.phase, recovers], ["recovering", ["recover"]]);
  const [undone] = says(sourceAgain("postcopy").state, "discarded");
  assert.equal(undone.phase, "aborting", "the target's agent restarted before its guest ran");
});

test("by order the source resumes out of a doubt and out of post-copy, and the report says so", () => {
  for (const phase of ["inDoubt", "postcopy", "recovering"] as const) {
    const before: SourceState = { ...sourceStart(PRECOPY), phase, error: { ...ERROR, code: "FIRST" } };
    const [after] = sourceStep(before, { type: "resumeHere", error: ERROR });
    assert.deepEqual([after.phase, after.error?.code], ["aborting", "TEST"]);
    assert.equal(sourceStep({ ...before, gone: true }, { type: "resumeHere", error: ERROR })[0].phase, phase);
  }
  const committing: SourceState = { ...sourceStart(PRECOPY), phase: "committing" };
  assert.equal(sourceStep(committing, { type: "resumeHere", error: ERROR })[0].phase, "committing");
});

test("a target agent that starts again discards what was not committed, and goes on with what was", () => {
  const again = (
    phase: TargetPhase,
    seen: { qemu?: "gone" | "completed" | "other"; carrying?: boolean; delivered?: boolean } = {},
  ) => {
    const { qemu = "other", carrying = false, delivered = false } = seen;
    const before = { ...targetStart(), phase, delivered, equal: true };
    const [state, effects] = targetStep(before, { type: "restarted", error: ERROR, qemu, carrying });
    return [state.phase, ...effects];
  };
  assert.deepEqual(again("preparing"), ["discarding", "endTarget"]);
  assert.deepEqual(again("preparing", { qemu: "completed" }), ["discarding", "endTarget"]);
  assert.deepEqual(again("committed", { delivered: true }), ["committed", "contTarget"]);
  assert.deepEqual(again("committed", { qemu: "gone", delivered: true }), ["lost"]);
  assert.deepEqual(again("postcopy", { carrying: true }), ["postcopy", "registerVm"]);
  assert.deepEqual(again("postcopy"), ["interrupted", "registerVm"]);
  assert.deepEqual(again("postcopy", { qemu: "completed" }), ["running", "registerVm"]);
  for (const phase of ["running", "discarded", "lost"] as const) assert.deepEqual(again(phase), [phase]);
});

test("by order the target gives up what is missing", () => {
  for (const phase of ["postcopy", "interrupted"] as const) {
    const [state] = targetStep({ ...targetStart(), phase }, { type: "giveUp", error: ERROR });
    assert.deepEqual([state.phase, state.error], ["lost", ERROR]);
  }
});
