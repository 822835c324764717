/**
 * Goal: never two hosts run the guest, whatever is lost or dies in whatever order; once faults stop, exactly one runs
 * it or the source says truthfully that it is lost or in doubt.
 * Method: both real machines, joined by a small model of two QEMUs, the carrier between them and agents whose messages
 * get lost. fast-check chooses every next thing that happens; then a quiet phase without faults must settle.
 * The model's source QEMU restarts its guest when the return path is lost after the END, as 10.0 does. Agents die and
 * start again from what they had recorded; a relay whose agent has died undoes the move, or carries post-copy to its end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  mayTurnByRule,
  mayUsePostcopy,
  type Plan,
  SOURCE_MAY_RUN,
  SOURCE_UNRECORDED,
  type SourceEffect,
  type SourceEvent,
  STRATEGIES,
  sourceSettled,
  sourceStart,
  sourceStep,
  TARGET_MAY_RUN,
  TARGET_RECORDED,
  type TargetEffect,
  type TargetEvent,
  type TargetPhase,
  TIMEOUT_ACTIONS,
  targetStart,
  targetStep,
} from "../../src/migration/mod.ts";

const ERROR = { code: "TEST", fields: {}, message: "made by the test" };

/** Agents are quicker than memory crosses, mostly. */
const AGENT = 4;

const SAID_BY_RELAY: ReadonlySet<SourceEvent["type"]> = new Set([
  ...(["verdict", "packageLoaded", "targetLoaded", "relayEnded", "linkLost", "recovered"] as const),
]);

class World {
  source;
  target = targetStart();
  readonly trace: string[] = [];
  /** What each agent has still to do, in order; relay and QMP events on their way to it. */
  sourceEffects: SourceEffect[] = [];
  targetEffects: TargetEffect[] = ["start"];
  sourceInbox: SourceEvent[] = [];
  targetInbox: TargetEvent[] = [];
  sourceQemu = {
    alive: true,
    runs: true,
    held: false,
    migrating: false,
    postcopy: false,
    stopped: false,
    /** Pieces of memory to send after the guest has stopped. */
    left: 3,
  };
  targetQemu = { alive: false, runs: false };
  carrier = {
    source: false,
    target: false,
    linked: false,
    /** The source's half is a rescue relay: it needs the source QEMU's memory only. */
    rescue: false,
    at: "ram" as "ram" | "package" | "rest" | "end" | "over",
  };
  shutReleased = false;
  asksLater = false;
  recoversLater = false;
  memoryEqual = true;
  /** What is on the disks of both agents. */
  sourceRecord;
  targetRecord = targetStart();
  /** Relays whose agent has died: they tell nobody anything, but that they have ended can be seen. */
  orphans = { source: false, target: false };

  constructor(plan: Plan) {
    this.source = sourceStart(plan);
    this.sourceRecord = this.source;
  }

  toSource(event: SourceEvent): void {
    const [next, effects] = sourceStep(this.source, event);
    this.trace.push(`S ${this.source.phase} ${event.type} -> ${next.phase} [${effects}]`);
    if (next.phase !== this.source.phase && !SOURCE_UNRECORDED.has(next.phase)) this.sourceRecord = next;
    this.source = next;
    this.sourceEffects.push(...effects);
  }

  toTarget(event: TargetEvent): void {
    const [next, effects] = targetStep(this.target, event);
    this.trace.push(`T ${this.target.phase} ${event.type} -> ${next.phase} [${effects}]`);
    if (next.phase !== this.target.phase && TARGET_RECORDED.has(next.phase)) this.targetRecord = next;
    this.target = next;
    this.targetEffects.push(...effects);
  }

  /** Everything that can happen now. `faults` are left out in the quiet phase. */
  enabled(faults: boolean): [string, () => void][] {
    const can: [string, () => void][] = [];
    const on = (when: boolean, name: string, act: () => void, weight = 1) => {
      for (let n = 0; when && n < weight; n++) can.push([name, act]);
    };
    const { sourceQemu: q, carrier: c } = this;
    on(this.target.phase === "ready" && this.source.phase === "preparing", "answer", () =>
      this.toSource({ type: "targetReady" }),
    );
    on(this.targetFailedEarly(), "refuse", () => this.toSource({ type: "failed", error: ERROR }));
    on(this.sourceEffects.length > 0, "sourceEffect", () => this.doSource(faults), AGENT);
    on(this.targetEffects.length > 0, "targetEffect", () => this.doTarget(), AGENT);
    on(this.sourceInbox.length > 0, "sourceInbox", () => this.toSource(this.sourceInbox.shift()!), AGENT);
    on(this.targetInbox.length > 0, "targetInbox", () => this.toTarget(this.targetInbox.shift()!), AGENT);
    on(this.asksLater, "askAgain", () => {
      this.asksLater = false;
      this.toSource({ type: "askAgain" });
    });
    on(this.recoversLater, "recoverAgain", () => {
      this.recoversLater = false;
      this.toSource({ type: "recoverAgain" });
    });
    const carries = c.source && c.target && q.alive && (q.migrating || c.rescue) && this.targetQemu.alive;
    on(carries && c.rescue && !c.linked, "recovered", () => {
      c.linked = true;
      c.at = "rest";
      this.sourceInbox.push({ type: "recovered" });
      this.targetInbox.push({ type: "recovered" });
    });
    on(c.rescue && c.source && c.at === "over", "rescueEnds", () => this.endCarrier(null));
    on(q.migrating && c.source && !c.target, "noTarget", () => this.endCarrier(ERROR));
    on(carries && !c.linked && !c.rescue, "link", () => {
      c.linked = true;
      this.targetInbox.push({ type: "linkUp" });
      this.sourceInbox.push({ type: "qemuStatus", status: "active" });
    });
    on(carries && c.linked && c.at === "ram" && !q.postcopy, "pass", () =>
      this.sourceInbox.push({ type: "pass", pass: 2 }),
    );
    on(carries && c.linked && c.at === "ram" && mayTurnByRule(this.source.plan), "rule", () =>
      this.toSource({ type: "postcopy" }),
    );
    on(carries && c.linked && q.stopped && !q.postcopy && q.left > 0, "send", () => q.left--);
    on(carries && c.linked && c.at === "ram" && !q.stopped, "switchover", () => this.qemuStops());
    on(carries && c.linked && c.at === "ram" && q.stopped && !q.postcopy && q.left === 0, "end", () =>
      this.verdict("end", "end"),
    );
    on(carries && c.linked && c.at === "ram" && q.stopped && q.postcopy, "package", () =>
      this.verdict("package", "package"),
    );
    on(carries && c.linked && c.at === "package", "packageLoaded", () => {
      c.at = "rest";
      this.both({ type: "packageLoaded" });
    });
    on(carries && c.linked && c.at === "rest" && this.targetQemu.runs, "rest", () =>
      this.verdict("end", "end"),
    );
    on(carries && c.linked && c.at === "end", "loaded", () => {
      c.at = "over";
      this.both({ type: "targetLoaded" });
    });
    on(this.shutReleased && c.source && q.alive && q.migrating, "shut", () => {
      q.migrating = false;
      this.sourceInbox.push({ type: "qemuStatus", status: "completed" });
      this.endCarrier(null);
    });
    on(this.target.phase === "ready" && !c.source, "timeout", () => this.toTarget({ type: "timeout" }));
    if (!faults) return can;
    on(c.source || c.target, "carrierDies", () => this.endCarrier(ERROR));
    on(c.target && c.linked && ["rest", "end"].includes(c.at), "targetRelayDies", () => {
      Object.assign(c, { target: false, linked: false });
      this.targetInbox.push({ type: "relayEnded", error: ERROR });
      if (c.source) this.sourceInbox.push({ type: "linkLost" });
    });
    on(q.alive, "sourceDies", () => {
      Object.assign(q, { alive: false, runs: false });
      this.sourceInbox.push({ type: "sourceGone", error: ERROR });
      this.endCarrier(ERROR);
    });
    on(this.targetQemu.alive, "targetDies", () => {
      this.targetQemu = { alive: false, runs: false };
      this.targetInbox.push({ type: "targetGone", error: ERROR });
      this.endCarrier(ERROR);
    });
    on(true, "cancel", () => this.toSource({ type: "cancel" }));
    on(true, "userPostcopy", () => this.toSource({ type: "postcopy" }));
    on(true, "timeUp", () => this.toSource({ type: "timeout" }));
    // Nobody calls its agent back before the target has answered: a source that died before that is at its beginning.
    on(this.source.phase !== "preparing", "sourceAgentDies", () => this.sourceAgentDies());
    on(this.target.phase !== "preparing", "targetAgentDies", () => this.targetAgentDies());
    on(this.memoryEqual, "corrupt", () => {
      this.memoryEqual = false;
    });
    return can;
  }

  private targetFailedEarly(): boolean {
    return this.source.phase === "preparing" && ["discarding", "discarded"].includes(this.target.phase);
  }

  private both(event: { type: "packageLoaded" } | { type: "targetLoaded" }): void {
    // The target QEMU's own status tells a new agent, too, that it has everything.
    if (!this.orphans.target || event.type === "targetLoaded") this.targetInbox.push(event);
    if (!this.orphans.source) this.sourceInbox.push(event);
    // SHUT needs no order of an agent that is dead.
    else if (event.type === "targetLoaded") this.shutReleased = true;
  }

  /** What the new agent sees of its QEMU: the carried state only counts where it was loaded. */
  private sourceAgentDies(): void {
    const { sourceQemu: q, carrier: c } = this;
    Object.assign(this, { sourceInbox: [], sourceEffects: [], asksLater: false, recoversLater: false });
    this.orphans.source = true;
    if (c.source && (c.at === "ram" || (c.rescue && !c.linked))) this.endCarrier(ERROR);
    // As src/relay/child.ts: an orphan needs no order, whether SHUT has come already or not.
    if (c.source && q.postcopy && c.at === "over") this.shutReleased = true;
    this.sourceInbox = [];
    this.source = this.sourceRecord;
    this.trace.push(`S starts again in ${this.source.phase}`);
    const completed = this.shutReleased && !q.migrating && !q.runs;
    const qemu = q.alive ? (completed ? "completed" : "other") : "gone";
    this.toSource({ type: "restarted", error: ERROR, qemu, carrying: c.source });
  }

  private targetAgentDies(): void {
    const { carrier: c } = this;
    Object.assign(this, { targetInbox: [], targetEffects: [] });
    this.orphans.target = true;
    if (c.target && (c.at === "ram" || (c.rescue && !c.linked))) this.endCarrier(ERROR);
    this.targetInbox = [];
    this.target = this.targetRecord;
    this.trace.push(`T starts again in ${this.target.phase}`);
    const qemu = this.targetQemu.alive ? (c.at === "over" ? "completed" : "other") : "gone";
    this.toTarget({ type: "restarted", error: ERROR, qemu, carrying: c.target });
  }

  /** The target relay compares before it passes anything on; when it differs nothing more crosses. */
  private verdict(barrier: "end" | "package", at: "end" | "package"): void {
    const equal = this.memoryEqual;
    if (!this.orphans.target) this.targetInbox.push({ type: "verdict", barrier, equal });
    if (!this.orphans.source) this.sourceInbox.push({ type: "verdict", barrier, equal });
    if (equal) this.carrier.at = at;
    else this.endCarrier(ERROR);
  }

  private qemuStops(): void {
    const q = this.sourceQemu;
    q.stopped = true;
    q.runs = false;
    this.sourceInbox.push({ type: "guestStopped" });
  }

  private endCarrier(error: typeof ERROR | null): void {
    const c = this.carrier;
    if (c.source) this.sourceInbox.push({ type: "relayEnded", error });
    if (c.target) this.targetInbox.push({ type: "relayEnded", error });
    Object.assign(c, { source: false, target: false, linked: false, rescue: false });
    const q = this.sourceQemu;
    if (!q.alive || !q.migrating) return;
    q.migrating = false;
    // What makes stock post-copy dangerous: a QEMU that stopped the guest itself starts it again.
    q.runs = !q.held;
    q.stopped = q.held;
    this.sourceInbox.push({ type: "qemuStatus", status: "failed", error: ERROR });
  }

  private doSource(faults: boolean): void {
    const effect = this.sourceEffects.shift()!;
    const q = this.sourceQemu;
    this.trace.push(`  S does ${effect}`);
    const needsQemu = ["configure", "stopGuest", "migrate", "startPostcopy"].includes(effect);
    if (needsQemu && (!q.alive || (effect === "migrate" && !this.carrier.source))) {
      this.sourceEffects = this.sourceEffects.filter((e) => !["migrate", "startPostcopy"].includes(e));
      this.toSource({ type: "failed", error: ERROR });
      return;
    }
    switch (effect) {
      case "startRelay":
        this.carrier.source = true;
        {
          this.toSource({ type: "relayReady" });
          return;
        }
      case "stopGuest":
        // QEMU was quicker: then the guest is not held by us, and nothing is said.
        if (q.stopped) return;
        q.held = true;
        this.qemuStops();
        this.sourceInbox.push({ type: "guestHeld" });
        return;
      case "migrate":
        q.migrating = true;
        return;
      case "startPostcopy":
        q.postcopy = q.migrating && this.carrier.at === "ram";
        return;
      case "releaseShut":
        this.shutReleased = this.carrier.source;
        return;
      case "sendCommit": {
        this.ask("commit", faults);
        return;
      }
      case "askDiscard": {
        this.ask("discard", faults);
        return;
      }
      case "askTarget": {
        this.ask("status", faults);
        return;
      }
      case "askLater":
        this.asksLater = true;
        return;
      case "recover":
        this.recover(faults);
        return;
      case "recoverLater":
        this.recoversLater = true;
        return;
      case "discardTarget":
        this.toTarget({ type: "discard", error: ERROR });
        return;
      case "stopRelay": {
        this.endCarrier(ERROR);
        return;
      }
      case "resumeSource":
        if (!q.alive) {
          this.toSource({ type: "sourceStuck", error: ERROR });
          return;
        }
        Object.assign(q, { runs: true, held: false, stopped: false, migrating: false });
        {
          this.toSource({ type: "sourceRuns" });
          return;
        }
      case "dropSource":
        Object.assign(q, { alive: false, runs: false });
        return;
    }
  }

  /** One call to the target agent: the request or the answer may get lost. */
  private ask(what: "commit" | "discard" | "status", faults: boolean): void {
    const luck = faults ? this.trace.length % 3 : 2;
    if (luck !== 0 && what === "commit") this.toTarget({ type: "commit" });
    if (luck !== 0 && what === "discard") this.toTarget({ type: "discard", error: ERROR });
    // The agent answers when it has settled what was asked, or with the phase it is in.
    while (luck === 2 && this.targetEffects.length > 0) this.doTarget();
    const phase: TargetPhase | undefined = luck === 2 ? this.target.phase : undefined;
    this.toSource({ type: "targetSays", phase });
  }

  /** The old relays are ended unheard; then one call to the target agent, which makes ready what it can. */
  private recover(faults: boolean): void {
    const c = this.carrier;
    const luck = faults ? this.trace.length % 3 : 2;
    const heard = [this.sourceInbox, this.targetInbox].map((inbox) => [...inbox]);
    const { target } = c;
    this.endCarrier(ERROR);
    // What the old one said and nobody has heard yet, nobody hears (SourceMove).
    this.sourceInbox = (heard[0] as SourceEvent[]).filter(({ type }) => !SAID_BY_RELAY.has(type));
    this.targetInbox = heard[1] as TargetEvent[];
    if (luck === 0) {
      if (target) this.targetInbox.push({ type: "relayEnded", error: ERROR });
      this.toSource({ type: "failed", error: ERROR });
      return;
    }
    while (this.targetEffects.length > 0) this.doTarget();
    if (this.targetQemu.alive) this.toTarget({ type: "recover" });
    if (c.at === "over" && this.target.phase === "interrupted") this.toTarget({ type: "targetLoaded" });
    const ready = this.target.phase === "interrupted" && this.targetQemu.alive;
    if (ready) {
      Object.assign(c, { target: true, at: "rest" });
      this.orphans.target = false;
    }
    if (luck === 1) this.toSource({ type: "failed", error: ERROR });
    else if (ready && this.sourceQemu.alive) {
      Object.assign(c, { source: true, rescue: true });
      this.orphans.source = false;
    } else this.toSource({ type: "targetSays", phase: this.target.phase });
  }

  private doTarget(): void {
    const effect = this.targetEffects.shift()!;
    this.trace.push(`  T does ${effect}`);
    switch (effect) {
      case "start":
        if (this.target.phase !== "preparing") return;
        this.targetQemu.alive = true;
        this.carrier.target = true;
        {
          this.toTarget({ type: "started" });
          return;
        }
      case "contTarget":
        if (!this.targetQemu.alive) return;
        this.targetQemu.runs = true;
        {
          this.toTarget({ type: "guestRuns" });
          return;
        }
      case "endTarget":
        this.targetQemu = { alive: false, runs: false };
        this.endCarrier(ERROR);
        {
          this.toTarget({ type: "ended" });
          return;
        }
    }
  }

  check(): void {
    assert(!(this.sourceQemu.runs && this.targetQemu.runs), "two hosts run the guest");
    assert(!(SOURCE_MAY_RUN.has(this.source.phase) && TARGET_MAY_RUN.has(this.target.phase)), "two owners");
    assert(!(this.carrier.rescue && this.sourceQemu.runs), "memory is read while the guest writes it");
    if (this.sourceQemu.runs)
      assert(SOURCE_MAY_RUN.has(this.source.phase), `source runs in ${this.source.phase}`);
    if (this.targetQemu.runs)
      assert(TARGET_MAY_RUN.has(this.target.phase), `target runs in ${this.target.phase}`);
  }

  settled(): boolean {
    if (this.sourceInbox.length + this.targetInbox.length + this.sourceEffects.length > 0) return false;
    return (
      sourceSettled(this.source.phase) || (this.source.phase === "inDoubt" && this.target.phase === "lost")
    );
  }
}

const choice = fc.noBias(fc.integer({ min: 0, max: 99_999 }));
const plans = fc.record({
  strategy: fc.constantFrom(...STRATEGIES),
  onTimeout: fc.constantFrom(...TIMEOUT_ACTIONS),
});

function run(
  plan: Plan,
  choices: readonly number[],
  faults: { readonly share: number; readonly from: number },
  after?: (world: World) => void,
): void {
  const world = new World(plan);
  try {
    for (const [n, choice] of choices.entries()) {
      const all = world.enabled(n >= faults.from && choice % 100 < faults.share);
      if (all.length === 0) break;
      const [name, act] = all[Math.floor(choice / 100) % all.length]!;
      world.trace.push(name);
      act();
      world.check();
    }
    for (let n = 0; !world.settled(); n++) {
      assert(n < 500, "does not settle once faults have stopped");
      const all = world.enabled(false);
      assert(all.length > 0, "nothing can happen, and it has not settled");
      // The source's own timers and the user's patience end at some point: a guest that never stops is switched over.
      const [name, act] = all[(n * 7919) % all.length]!;
      world.trace.push(name);
      act();
      world.check();
    }
    judge(world);
    after?.(world);
  } catch (error) {
    (error as Error).message += `\n${world.trace.join("\n")}`;
    throw error;
  }
}

/** The end state and its report tell the truth. */
function judge(world: World): void {
  const { source, sourceQemu, targetQemu } = world;
  switch (source.phase) {
    case "completed":
      assert(!sourceQemu.runs);
      // It may die later; nobody else may run it then.
      assert(targetQemu.runs || world.trace.includes("targetDies"), "completed, and the target does not run");
      break;
    case "aborted":
    case "refused":
      assert(sourceQemu.runs || !sourceQemu.alive, "undone, and the source does not run");
      assert(!targetQemu.runs);
      break;
    case "lost":
      // A guest that runs whole somewhere is not lost.
      assert(!sourceQemu.runs);
      assert(!(targetQemu.runs && world.target.phase === "running"), "said lost, and the target runs whole");
      break;
    default:
      assert.equal(source.phase, "inDoubt");
      assert.equal(world.target.phase, "lost");
  }
}

test("whatever dies or gets lost: never two run, and it settles truthfully", () => {
  fc.assert(
    fc.property(
      plans,
      fc.array(choice, { maxLength: 80, size: "max" }),
      // Most moves that begin with faults do not get far.
      fc.record({ share: fc.constantFrom(0, 5, 20, 60), from: fc.integer({ min: 0, max: 40 }) }),
      (plan, choices, faults) => run(plan, choices, faults),
    ),
    { numRuns: 10_000 },
  );
});

test("without faults every strategy completes, and post-copy is reached where it was asked for", () => {
  for (const strategy of STRATEGIES) {
    const plan: Plan = { strategy, onTimeout: "abort" };
    let postcopies = 0;
    fc.assert(
      fc.property(fc.array(choice, { maxLength: 60, size: "max" }), (choices) =>
        run(plan, choices, { share: 0, from: 0 }, (world) => {
          // "timeout" of a target that nobody reached is the one honest way to end here without a move.
          if (!world.trace.includes("timeout")) assert.equal(world.source.phase, "completed");
          if (world.trace.some((line) => line.startsWith("S handover packageLoaded"))) postcopies++;
        }),
      ),
      { numRuns: 200 },
    );
    assert.equal(postcopies > 0, mayUsePostcopy(plan), `${strategy}: ${postcopies} post-copies`);
  }
});
