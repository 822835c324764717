/** The source side as a pure machine: what happened goes in, what to become and what to do comes out. */
import { GodwitError, type WireError } from "../errors/mod.ts";
import type { Barrier } from "../stream/mod.ts";
import { assert } from "./assert.ts";
import {
  SOURCE_EDGES,
  SOURCE_MAY_RUN,
  type SourcePhase,
  TARGET_MAY_RUN,
  type TargetPhase,
} from "./phases.ts";
import { mayUsePostcopy, type Plan, startsInPostcopy, stopsFirst } from "./strategy.ts";

export interface SourceState {
  readonly phase: SourcePhase;
  readonly plan: Plan;
  /** Post-copy was ordered and begins as soon as the guest is held. */
  readonly turning: boolean;
  /** The link is down now. */
  readonly linkDown: boolean;
  /** The link was lost during pre-copy. */
  readonly linkDropped: boolean;
  /** Post-copy was to begin and the link was not fit for it: the move goes on as pre-copy. */
  readonly postcopyRefused: boolean;
  /** Our own `stop` holds the guest: QEMU does not start it by itself, an abort has to. */
  readonly held: boolean;
  /** The source relay is running. */
  readonly carrying: boolean;
  /** The source QEMU is dead. */
  readonly gone: boolean;
  /** The newest verdict on the digests; null before the first. */
  readonly equal: boolean | null;
  /** Post-copy: the target QEMU has every page. */
  readonly delivered: boolean;
  /** What is asked of the target while in doubt. */
  readonly wants: "commit" | "discard";
  /** The first error; later ones are echoes, but for that of a guest that cannot be continued. */
  readonly error: WireError | null;
}

export type SourceEvent =
  | { readonly type: "targetReady" }
  | { readonly type: "relayReady" }
  /** A MIGRATION event of QEMU, or query-migrate's status. */
  | { readonly type: "qemuStatus"; readonly status: string; readonly error?: WireError }
  | { readonly type: "pass"; readonly pass: number }
  | { readonly type: "guestStopped" }
  /** `stopGuest` took effect before QEMU stopped the guest by itself (query-status says paused, not finish-migrate). */
  | { readonly type: "guestHeld" }
  | { readonly type: "sourceGone"; readonly error: WireError }
  | { readonly type: "verdict"; readonly barrier: Barrier; readonly equal: boolean }
  | { readonly type: "packageLoaded" }
  | { readonly type: "targetLoaded" }
  | { readonly type: "relayEnded"; readonly error: WireError | null }
  /** The target agent's word, and why it gave up, if it did; undefined when it said nothing within its time. */
  | {
      readonly type: "targetSays";
      readonly phase: TargetPhase | undefined;
      readonly error?: WireError | null;
    }
  | { readonly type: "linkLost" }
  | { readonly type: "linkResumed" }
  /** Post-copy was interrupted, and the target QEMU takes pages again, from a new relay. */
  | { readonly type: "recovered" }
  | { readonly type: "timeout" }
  | { readonly type: "askAgain" }
  | { readonly type: "recoverAgain" }
  | { readonly type: "cancel" }
  /** By the user, or by a rule of the convergence controller. */
  | { readonly type: "postcopy" }
  /** An effect could not be carried out (those after it in the list were not tried). */
  | { readonly type: "failed"; readonly error: WireError }
  | { readonly type: "sourceRuns" }
  | { readonly type: "sourceStuck"; readonly error: WireError }
  /**
   * The agent is a new one and the state is what the former had recorded. The first event then, with what can be seen now:
   * whether QEMU is there and calls its migration completed, and whether the relay outlived its agent.
   */
  | {
      readonly type: "restarted";
      readonly error: WireError;
      readonly qemu: "gone" | "completed" | "other";
      readonly carrying: boolean;
    }
  /** The user says that the guest shall run here, and that the other host cannot run it (or that was seen). */
  | { readonly type: "resumeHere"; readonly error: WireError };

export type SourceEffect =
  | "startRelay"
  /** Capabilities and parameters of the source QEMU. */
  | "configure"
  | "stopGuest"
  | "migrate"
  /** Keeps QEMU from finishing its last pass until it has turned to post-copy. Ends by itself in time. */
  | "slowStream"
  | "startPostcopy"
  | "hurryStream"
  | "releaseShut"
  | "sendCommit"
  /** Asks the target to discard and waits for its word. */
  | "askDiscard"
  /** Asks the target again after a while: `askAgain`. */
  | "askLater"
  | "askTarget"
  /** Asks the target once whether it has given up, beside whatever else there is to do: `targetSays`. */
  | "lookAtTarget"
  /**
   * Ends the relay if it still runs, has the target make ready, and starts a relay that brings what is missing: `recovered`.
   * When the target needs none, or the source QEMU is dead, only its word: `targetSays`.
   */
  | "recover"
  /** The same after a while: `recoverAgain`. */
  | "recoverLater"
  /** Tells the target to discard; the source does not need the answer. */
  | "discardTarget"
  | "stopRelay"
  /** migrate_cancel if need be, `cont` if need be, and a look whether it runs. */
  | "resumeSource"
  /** The source QEMU is ended and its VM forgotten: it lives at the target. */
  | "dropSource"
  | "report";

type Step = readonly [SourceState, readonly SourceEffect[]];

/** The state in which a move begins at the source: nothing is done, the target is to be asked. */
export function sourceStart(plan: Plan): SourceState {
  return {
    phase: "preparing",
    plan,
    turning: false,
    linkDown: false,
    linkDropped: false,
    postcopyRefused: false,
    held: false,
    carrying: false,
    gone: false,
    equal: null,
    delivered: false,
    wants: "discard",
    error: null,
  };
}

/** Until this is false a cancel leaves the guest running at the source. */
export function canCancel(phase: SourcePhase): boolean {
  return phase === "preparing" || phase === "starting" || phase === "precopy" || phase === "switchover";
}

/** Whether "go to post-copy now" can be obeyed. */
export function canPostcopy(state: SourceState): boolean {
  return state.phase === "precopy" && mayUsePostcopy(state.plan);
}

/** Whether the link is not fit for post-copy: while it is down the guest would stand still, perhaps for ever. */
export function refusesPostcopy(state: SourceState): boolean {
  return state.linkDropped && state.plan.forcePostcopy !== true;
}

/** The error that a report of this state carries. */
export function reportedError(state: SourceState): WireError | null {
  return state.phase === "inDoubt" ? (state.error ?? IN_DOUBT) : state.error;
}

/** Whether the phase is an end: no edge leads out of it. */
export function sourceSettled(phase: SourcePhase): boolean {
  return Object.keys(SOURCE_EDGES[phase].to).length === 0;
}

/**
 * One step. Pure: no clock, no socket. Events that mean nothing in a phase change nothing.
 * @throws InvariantBroken when the step would break a rule of the table: a bug
 */
export function sourceStep(before: SourceState, event: SourceEvent): Step {
  const noted = note(before, event);
  const over = sourceSettled(before.phase) && event.type !== "restarted";
  const [after, effects] = over ? [noted, []] : decide(noted, event);
  check(before, after, effects);
  return [after, effects];
}

/** Facts that hold whatever the phase. */
function note(state: SourceState, event: SourceEvent): SourceState {
  switch (event.type) {
    case "verdict":
      return { ...state, equal: state.equal !== false && event.equal };
    case "relayEnded":
      return { ...state, carrying: false };
    case "sourceGone":
      return { ...state, gone: true };
    case "targetLoaded":
      return { ...state, delivered: true };
    case "guestHeld":
      return { ...state, held: true };
    case "linkLost":
      return { ...state, linkDropped: true, linkDown: true };
    case "linkResumed":
      return { ...state, linkDown: false };
    case "recovered":
      return { ...state, linkDown: false, carrying: true };
    case "restarted":
      return { ...state, gone: state.gone || event.qemu === "gone", carrying: event.carrying };
    default:
      return state;
  }
}

function decide(state: SourceState, event: SourceEvent): Step {
  if (event.type === "restarted") return restarted(state, event);
  switch (state.phase) {
    case "preparing":
      return preparing(state, event);
    case "starting":
      if (event.type === "relayReady") return begin({ ...state, carrying: true });
      return undo(state, event) ?? [state, []];
    case "precopy":
      return precopy(state, event);
    case "switchover":
      if (isAboutLink(event)) return withoutLink(state, event);
      if (event.type === "guestHeld" && state.turning) return startPostcopy(state);
      if (event.type === "timeout" && stopsFirst(state.plan)) return abort(state, TIMED_OUT);
      if (event.type === "targetLoaded") return loaded(state);
      return undo(state, event) ?? [state, []];
    case "handover":
      return handover(state, event);
    case "loaded":
      return releasing(state, event);
    case "committing":
    case "undoing":
    case "inDoubt":
      return asking(state, event);
    case "postcopy":
      return postcopy(state, event);
    case "recovering":
      return recovering(state, event);
    case "aborting":
      if (event.type === "sourceRuns") return [{ ...state, phase: "aborted" }, ["report"]];
      if (event.type === "sourceStuck")
        return lost({ ...state, error: stuck(state, event.error) }, event.error);
      return event.type === "sourceGone" ? lost(state, event.error) : [state, []];
    case "completed":
    case "refused":
    case "aborted":
    case "lost":
      return [state, []];
  }
}

/**
 * Only what takes no guess. Before `handover` and `loaded` were on record nothing irrevocable was done. A QEMU that is not
 * completed in `loaded` was never followed by a commit.
 */
function restarted(state: SourceState, event: SourceEvent & { type: "restarted" }): Step {
  switch (state.phase) {
    case "handover":
    case "undoing":
      return askDiscard(state, event.error);
    case "loaded":
      if (event.qemu === "other") return abort(state, event.error);
      return [{ ...state, phase: "committing", wants: "commit" }, ["sendCommit"]];
    case "committing":
      return [state, ["sendCommit"]];
    case "inDoubt":
      return [state, ["askTarget"]];
    case "postcopy":
      // Nobody tells of the link of a relay whose agent is dead: as if it were down, the target is asked again and again.
      return [{ ...state, linkDown: true }, ["askTarget"]];
    case "recovering":
      return [state, state.carrying ? ["askTarget"] : ["recover"]];
    case "completed":
      return [state, ["report", "stopRelay", "dropSource"]];
    case "refused":
    case "aborted":
    case "lost":
      return [state, ["report"]];
    default:
      return state.gone ? lost(state, SOURCE_DEAD) : abort(state, event.error);
  }
}

function preparing(state: SourceState, event: SourceEvent): Step {
  if (event.type === "targetReady") return [{ ...state, phase: "starting" }, ["startRelay"]];
  if (event.type === "failed" || event.type === "relayEnded") {
    return [
      { ...fail(state, event.error ?? ENDED_EARLY), phase: "refused" },
      ["discardTarget", "stopRelay", "report"],
    ];
  }
  if (event.type === "cancel") {
    return [{ ...fail(state, CANCELLED), phase: "aborted" }, ["discardTarget", "stopRelay", "report"]];
  }
  if (event.type === "sourceGone") return lost(state, event.error);
  return [state, []];
}

function begin(state: SourceState): Step {
  if (!stopsFirst(state.plan)) return [{ ...state, phase: "precopy" }, ["configure", "migrate"]];
  return [{ ...state, phase: "precopy" }, ["configure", "stopGuest", "migrate"]];
}

function precopy(state: SourceState, event: SourceEvent): Step {
  switch (event.type) {
    case "guestStopped":
      return [{ ...state, phase: "switchover" }, []];
    case "guestHeld":
      return state.turning ? startPostcopy(state) : [state, []];
    case "pass":
      // Pass 1 is announced during QEMU's set-up; "active" is the moment when it obeys.
      return event.pass > 1 && startsInPostcopy(state.plan) ? toPostcopy(state) : [state, []];
    case "qemuStatus":
      if (event.status === "active" && startsInPostcopy(state.plan)) return toPostcopy(state);
      return undo(state, event) ?? [state, []];
    case "postcopy":
      return canPostcopy(state) ? toPostcopy(state) : [state, []];
    case "targetLoaded":
      return loaded(state);
    case "timeout":
      if (state.plan.onTimeout === "postcopy") return toPostcopy(state);
      if (state.plan.onTimeout === "stop") return [state, ["stopGuest"]];
      return abort(state, TIMED_OUT);
    case "linkLost":
    case "askAgain":
    case "targetSays":
      return withoutLink(state, event);
    default:
      return undo(state, event) ?? [state, []];
  }
}

type AboutLink = SourceEvent & { type: "linkLost" | "askAgain" | "targetSays" };

function isAboutLink(event: SourceEvent): event is AboutLink {
  return event.type === "linkLost" || event.type === "askAgain" || event.type === "targetSays";
}

/** The relays try a lost link for long; where there is no relay at the target any more that is of no use. */
function withoutLink(state: SourceState, event: AboutLink): Step {
  if (event.type === "linkLost") return [state, ["askLater"]];
  if (event.type === "askAgain") return [state, state.linkDown ? ["lookAtTarget"] : []];
  if (event.phase === "discarded") return abort(state, event.error ?? TARGET_DISCARDED);
  return [state, state.linkDown ? ["askLater"] : []];
}

/**
 * The guest is stopped by our own order first: a QEMU that stopped it itself starts it again when the return path is
 * lost after the END (10.0), beside the running target.
 */
function toPostcopy(state: SourceState): Step {
  if (state.turning) return [state, []];
  if (refusesPostcopy(state)) return [{ ...state, postcopyRefused: true }, []];
  return [{ ...state, turning: true }, ["slowStream", "stopGuest"]];
}

function startPostcopy(state: SourceState): Step {
  return [{ ...state, phase: "handover" }, ["startPostcopy"]];
}

function loaded(state: SourceState): Step {
  if (state.equal !== true)
    return state.phase === "handover" ? askDiscard(state, NOT_PROVEN) : abort(state, NOT_PROVEN);
  return [{ ...state, phase: "loaded" }, ["releaseShut"]];
}

/** Failures while the source may still resume by itself. */
function undo(state: SourceState, event: SourceEvent): Step | undefined {
  if (event.type === "sourceGone") return lost(state, event.error);
  const error = failure(event) ?? (event.type === "cancel" ? CANCELLED : undefined);
  return error && abort(state, error);
}

function handover(state: SourceState, event: SourceEvent): Step {
  if (event.type === "packageLoaded") return [{ ...state, phase: "postcopy" }, []];
  // 10.0 says "device" before it sends the package, 7.2 at once "postcopy-active".
  if (event.type === "qemuStatus" && ["device", "postcopy-active"].includes(event.status))
    return [state, ["hurryStream"]];
  if (event.type === "targetLoaded") return loaded(state);
  if (event.type === "sourceGone") return lost(state, event.error);
  // The relays await a lost link without end here, also where there is no relay at the target any more.
  if (event.type === "linkLost") return [state, ["askLater"]];
  if (event.type === "askAgain") return [state, state.linkDown ? ["askTarget"] : []];
  if (event.type === "targetSays") return heardInHandover(state, event.phase);
  const error = failure(event);
  return error ? askDiscard(state, error) : [state, []];
}

function heardInHandover(state: SourceState, phase: TargetPhase | undefined): Step {
  if (phase === "discarded") return askDiscard(state, TARGET_DISCARDED);
  const asksOn: readonly SourceEffect[] = state.linkDown ? ["askLater"] : [];
  return phase !== undefined && TARGET_MAY_RUN.has(phase)
    ? [{ ...state, phase: "postcopy" }, asksOn]
    : [state, asksOn];
}

function releasing(state: SourceState, event: SourceEvent): Step {
  const completed = event.type === "qemuStatus" && event.status === "completed";
  if (completed || event.type === "sourceGone") {
    return [{ ...state, phase: "committing", wants: "commit" }, ["sendCommit"]];
  }
  // A relay that ended tells nothing here: whether SHUT got through is QEMU's to say.
  const error = event.type === "relayEnded" ? undefined : failure(event);
  return error ? abort(state, error) : [state, []];
}

/** committing, undoing, inDoubt: the target agent is the arbiter. */
function asking(state: SourceState, event: SourceEvent): Step {
  if (event.type === "askAgain" && state.phase === "inDoubt") return [state, ["askTarget"]];
  if (event.type === "resumeHere" && state.phase === "inDoubt") return resumeHere(state, event.error);
  if (event.type !== "targetSays") return [state, []];
  switch (event.phase) {
    case "running":
      return completed(state);
    case "discarded":
      return neverRan(state, event.error);
    case "postcopy":
      if (!state.carrying) return recover(state);
      return [{ ...state, phase: "postcopy" }, state.linkDown ? ["askLater"] : []];
    case "interrupted":
      return recover(state);
    case "lost":
      return state.wants === "commit" ? doubt(state) : lost(state, CARRIER_LOST);
    case undefined:
      return doubt(state);
    default:
      // It has not decided yet. Say again what we want; soon when it only just heard it.
      if (state.phase !== "inDoubt") return doubt(state);
      if (state.wants === "commit") return [{ ...state, phase: "committing" }, ["sendCommit"]];
      return [{ ...state, phase: "undoing" }, ["askDiscard"]];
  }
}

function postcopy(state: SourceState, event: SourceEvent): Step {
  switch (event.type) {
    case "targetLoaded":
      return [state, ["releaseShut"]];
    case "relayEnded":
      // SHUT(0) is the target QEMU's own word that it has every page; whether its guest may run its agent alone can say.
      if (event.error !== null && !state.delivered) return recover(state);
      return [{ ...state, delivered: true, linkDown: true }, ["askTarget"]];
    case "linkLost":
      return [state, ["askLater"]];
    case "askAgain":
      // The link may be down because there is no relay at the target any more: only its agent knows.
      return [state, state.linkDown ? ["askTarget"] : []];
    case "targetSays":
      if (event.phase === "interrupted") return recover(state);
      if (event.phase === "postcopy" && !state.carrying && !state.delivered) return recover(state);
      if (event.phase === "running") return completed(state);
      if (event.phase === "lost") return lost(state, CARRIER_LOST);
      if (event.phase === "discarded") return neverRan(state, event.error);
      return [state, state.linkDown ? ["askLater"] : []];
    case "resumeHere":
      return resumeHere(state, event.error);
    default:
      return [state, []];
  }
}

function recover(state: SourceState): Step {
  // What arrived wrong is at work there already: bringing the rest would only hide it.
  if (state.equal === false) return lost(state, NOT_PROVEN);
  return [{ ...state, phase: "recovering", linkDown: false, carrying: false, error: null }, ["recover"]];
}

/** Tried again until it succeeds, or cannot any more. */
function recovering(state: SourceState, event: SourceEvent): Step {
  switch (event.type) {
    case "recovered":
      return [{ ...state, phase: "postcopy" }, []];
    case "recoverAgain":
      return [state, ["recover"]];
    case "targetSays":
      if (event.phase === "running") return completed(state);
      if (event.phase === "lost") return lost(state, CARRIER_LOST);
      if (event.phase === "discarded") return neverRan(state, event.error);
      if (event.phase === "postcopy" && state.carrying)
        return [{ ...state, phase: "postcopy", linkDown: true }, ["askLater"]];
      // What is missing there was here.
      if (event.phase === "interrupted" && state.gone) return lost(state, SOURCE_DEAD);
      return [state, ["recoverLater"]];
    case "resumeHere":
      return resumeHere(state, event.error);
    case "failed":
      return hopeless(event.error) ? lost(state, event.error) : [state, ["recoverLater"]];
    case "relayEnded":
      if (event.error === null || state.delivered) return completed(state);
      return hopeless(event.error) ? lost(state, event.error) : [state, ["recoverLater"]];
    case "linkLost":
      // Perhaps because the new relay there has ended, too.
      return [state, ["recoverLater"]];
    case "sourceGone":
      // Perhaps every page has crossed: the target knows.
      return [state, ["recoverLater"]];
    default:
      return [state, []];
  }
}

/** What another attempt would not change. */
function hopeless({ code }: WireError): boolean {
  return ["GUEST_MEMORY_CLOSED", "MIGRATION_UNKNOWN", "POSTCOPY_LOST"].includes(code);
}

function abort(state: SourceState, error: WireError): Step {
  return [{ ...fail(state, error), phase: "aborting" }, ["discardTarget", "stopRelay", "resumeSource"]];
}

/** The target agent's word: its guest has not run and will not. */
function neverRan(state: SourceState, why: WireError | null = null): Step {
  return state.gone ? lost(state, SOURCE_DEAD) : abort(state, why ?? TARGET_DISCARDED);
}

/** By order, which is the first error of the report whatever came before it. */
function resumeHere(state: SourceState, error: WireError): Step {
  return state.gone ? [state, []] : abort({ ...state, error: null }, error);
}

function askDiscard(state: SourceState, error: WireError): Step {
  return [{ ...fail(state, error), phase: "undoing", wants: "discard" }, ["askDiscard"]];
}

function doubt(state: SourceState): Step {
  if (state.phase === "inDoubt") return [state, ["askLater"]];
  return [{ ...state, phase: "inDoubt" }, ["report", "askLater"]];
}

function completed(state: SourceState): Step {
  return [{ ...state, phase: "completed", error: null }, ["report", "stopRelay", "dropSource"]];
}

function lost(state: SourceState, error: WireError): Step {
  return [{ ...fail(state, error), phase: "lost" }, ["discardTarget", "stopRelay", "report"]];
}

/** Why the guest stands still counts more than why it was to go on here, whose way out is not true any more. */
function stuck({ error: first }: SourceState, error: WireError): WireError {
  return first === null
    ? error
    : { ...error, message: `${error.message}. It was undone because: ${first.message}` };
}

function fail(state: SourceState, error: WireError): SourceState {
  return state.error === null ? { ...state, error } : state;
}

function failure(event: SourceEvent): WireError | undefined {
  switch (event.type) {
    case "failed":
      return event.error;
    case "relayEnded":
      return event.error ?? ENDED_EARLY;
    case "verdict":
      return event.equal ? undefined : NOT_PROVEN;
    case "qemuStatus":
      return FAILED_STATUS.has(event.status) ? (event.error ?? SOURCE_FAILED(event.status)) : undefined;
    default:
      return undefined;
  }
}

const FAILED_STATUS: ReadonlySet<string> = new Set(["failed", "cancelled", "cancelling", "postcopy-paused"]);
const say = (error: GodwitError): WireError => error.toJSON();
const CANCELLED = say(new GodwitError("CANCELLED", {}));
const TIMED_OUT = say(new GodwitError("MIGRATION_TIMEOUT", {}));
const NOT_PROVEN = say(new GodwitError("NOT_PROVEN", {}));
const ENDED_EARLY = say(
  new GodwitError("RELAY_ENDED", { side: "source", reason: "it ended before the target had loaded" }),
);
const CARRIER_LOST = say(new GodwitError("POSTCOPY_LOST", {}));
const SOURCE_DEAD = say(new GodwitError("SOURCE_QEMU_GONE", { phase: "commit" }));
const TARGET_DISCARDED = say(new GodwitError("TARGET_DISCARDED", {}));
const IN_DOUBT = say(new GodwitError("IN_DOUBT", {}));
const SOURCE_FAILED = (status: string) =>
  say(new GodwitError("QEMU_MIGRATION_FAILED", { status, reason: "no reason given" }));

function check(before: SourceState, after: SourceState, effects: readonly SourceEffect[]): void {
  if (before.phase !== after.phase) {
    assert(after.phase in SOURCE_EDGES[before.phase].to, `no edge ${before.phase} -> ${after.phase}`);
  }
  if (effects.includes("resumeSource"))
    assert(after.phase === "aborting", "only an abort resumes the source");
  if (effects.includes("sendCommit")) {
    assert(!SOURCE_MAY_RUN.has(after.phase), "the source may not run once the commit is sent");
    assert(after.equal === true, "no commit without equal digests");
  }
  if (effects.includes("releaseShut") && after.phase === "loaded") {
    assert(after.equal === true && after.delivered, "SHUT is released when the target has all of it");
  }
  if (effects.includes("startPostcopy"))
    assert(after.held, "before post-copy the guest is stopped by our own order");
  if (effects.includes("slowStream"))
    assert(!refusesPostcopy(after), "no post-copy on a link that was lost, unless forced");
  if (effects.includes("dropSource"))
    assert(after.phase === "completed", "only a completed move drops the source");
  if (after.phase === "aborted" || after.phase === "refused")
    assert(after.error !== null, "an undone move says why");
}
