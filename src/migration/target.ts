/** The target side as a pure machine. It is the arbiter: what it has recorded decides who owns the guest. */
import { GodwitError, type WireError } from "../errors/mod.ts";
import type { Barrier } from "../stream/mod.ts";
import { assert } from "./assert.ts";
import { TARGET_EDGES, TARGET_MAY_RUN, type TargetPhase } from "./phases.ts";

export interface TargetState {
  readonly phase: TargetPhase;
  /** The newest verdict on the digests; null before the first. */
  readonly equal: boolean | null;
  /** The commit came before our own relay told us that QEMU had loaded. */
  readonly commitAsked: boolean;
  /** Everything is here (SHUT(0)). */
  readonly delivered: boolean;
  /** The relay has ended. */
  readonly relayGone: boolean;
  /** `cont` was given by an agent before this one: what QEMU said to it nobody heard. */
  readonly contUnheard: boolean;
  readonly error: WireError | null;
}

export type TargetEvent =
  | { readonly type: "started" }
  | { readonly type: "failed"; readonly error: WireError }
  | { readonly type: "linkUp" }
  | { readonly type: "verdict"; readonly barrier: Barrier; readonly equal: boolean }
  | { readonly type: "packageLoaded" }
  | { readonly type: "targetLoaded" }
  | { readonly type: "commit" }
  | { readonly type: "discard"; readonly error: WireError }
  | { readonly type: "guestRuns" }
  /** QEMU refused `cont`, and query-status says that it stands still. */
  | { readonly type: "contRefused"; readonly error: WireError }
  | { readonly type: "targetGone"; readonly error: WireError }
  | { readonly type: "relayEnded"; readonly error: WireError | null }
  /** The source is about to bring in a new way what is missing: nothing of the old way is left. */
  | { readonly type: "recover" }
  /** QEMU takes pages again. */
  | { readonly type: "recovered" }
  /** By the user: what is missing here will not come any more. */
  | { readonly type: "giveUp"; readonly error: WireError }
  /** Nobody connected in time. */
  | { readonly type: "timeout" }
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
  /** QEMU, relay, sockets and files of the attempt are gone. */
  | { readonly type: "ended" };

export type TargetEffect =
  | "start"
  | "contTarget"
  /** Ends QEMU and relay and removes what belongs to them: `ended`. */
  | "endTarget"
  /** The VM is this host's now. */
  | "registerVm";

type Step = readonly [TargetState, readonly TargetEffect[]];

/** The state in which a move begins at the target: QEMU and relay are to be started. */
export function targetStart(): TargetState {
  return {
    phase: "preparing",
    equal: null,
    commitAsked: false,
    delivered: false,
    relayGone: false,
    contUnheard: false,
    error: null,
  };
}

/** Whether the phase is an end: no edge leads out of it. */
export function targetSettled(phase: TargetPhase): boolean {
  return Object.keys(TARGET_EDGES[phase].to).length === 0;
}

/**
 * One step. The driver records a new phase durably before it does the effects: `committed` is on disk before `cont`.
 * @throws InvariantBroken when the step would break a rule of the table: a bug
 */
export function targetStep(before: TargetState, event: TargetEvent): Step {
  const noted = note(before, event);
  const [after, effects] = decide(noted, event);
  check(before, after, effects);
  return [after, effects];
}

function note(state: TargetState, event: TargetEvent): TargetState {
  if (event.type === "verdict") return { ...state, equal: state.equal !== false && event.equal };
  if (event.type === "commit") return { ...state, commitAsked: true };
  if (event.type === "targetLoaded") return { ...state, delivered: true };
  if (event.type === "relayEnded") return { ...state, relayGone: true };
  if (event.type === "recovered") return { ...state, relayGone: false };
  if (event.type !== "restarted") return state;
  // What was not committed is not judged by QEMU's word: the verdict on the digests is not on record.
  const delivered = state.delivered || (TARGET_MAY_RUN.has(state.phase) && event.qemu === "completed");
  return { ...state, delivered, relayGone: !event.carrying };
}

function decide(state: TargetState, event: TargetEvent): Step {
  if (event.type === "restarted") return restarted(state, event);
  switch (state.phase) {
    case "preparing":
      if (event.type === "started") return [{ ...state, phase: "ready" }, []];
      return discard(state, event) ?? [state, []];
    case "ready":
      if (event.type === "linkUp") return [{ ...state, phase: "loading" }, []];
      return discard(state, event) ?? [state, []];
    case "loading":
      return loading(state, event);
    case "loaded":
      if (event.type === "commit") return commit(state);
      // Without the relay too everything is here: only the source's word or QEMU's death ends this.
      if (event.type === "discard" || event.type === "targetGone") return end(state, event.error);
      return [state, []];
    case "committed":
      return committed(state, event);
    case "postcopy":
      if (event.type === "targetLoaded") return [{ ...state, phase: "running" }, []];
      if (state.equal !== false && mustRecover(state, event)) return [{ ...state, phase: "interrupted" }, []];
      return breakdown(state, event) ?? [state, []];
    case "interrupted":
      if (event.type === "targetLoaded") return [{ ...state, phase: "running" }, []];
      if (event.type === "recovered") return [{ ...state, phase: "postcopy" }, []];
      if (event.type === "discard") return [{ ...fail(state, event.error), phase: "lost" }, []];
      return breakdown(state, event) ?? [state, []];
    case "discarding":
      return event.type === "ended" ? [{ ...state, phase: "discarded" }, []] : [state, []];
    case "running":
    case "discarded":
    case "lost":
      return [state, []];
  }
}

/** What was not committed never ran here: it is discarded. What was goes on with whatever brings its pages. */
function restarted(state: TargetState, event: TargetEvent & { type: "restarted" }): Step {
  if (targetSettled(state.phase)) return [state, []];
  if (state.phase === "discarding") return [state, ["endTarget"]];
  if (!TARGET_MAY_RUN.has(state.phase)) return end(state, event.error);
  if (event.qemu === "gone") return [{ ...fail(state, event.error), phase: "lost" }, []];
  if (state.phase === "committed") return commit({ ...state, contUnheard: true });
  if (state.delivered) return [{ ...state, phase: "running" }, ["registerVm"]];
  // The former agent may have ended before it registered the VM.
  return [{ ...state, phase: state.relayGone ? "interrupted" : state.phase }, ["registerVm"]];
}

function loading(state: TargetState, event: TargetEvent): Step {
  if (event.type === "packageLoaded" && state.equal !== false) return commit(state);
  if (event.type === "targetLoaded") {
    if (state.equal !== true) return end(state, NOT_PROVEN);
    return state.commitAsked ? commit(state) : [{ ...state, phase: "loaded" }, []];
  }
  return discard(state, event) ?? [state, []];
}

function commit(state: TargetState): Step {
  return [{ ...state, phase: "committed" }, ["contTarget"]];
}

function committed(state: TargetState, event: TargetEvent): Step {
  if (event.type === "guestRuns") return [{ ...state, phase: running(state) }, ["registerVm"]];
  if (event.type === "contRefused") return end(state, event.error);
  // QEMU says RESUME before it lets the first vCPU go, and what it said is read to the end before its death is told.
  if (event.type === "targetGone" && !state.contUnheard) return end(state, event.error);
  return breakdown(state, event) ?? [state, []];
}

function mustRecover(state: TargetState, event: TargetEvent): boolean {
  return event.type === "recover" || (event.type === "relayEnded" && !state.delivered);
}

function running({ delivered, relayGone }: TargetState): TargetPhase {
  if (delivered) return "running";
  return relayGone ? "interrupted" : "postcopy";
}

/** What ends a guest that has run or may have run here. */
function breakdown(state: TargetState, event: TargetEvent): Step | undefined {
  if (event.type === "giveUp") return [{ ...fail(state, event.error), phase: "lost" }, []];
  const corrupt = event.type === "relayEnded" && state.equal === false;
  if (event.type !== "targetGone" && !corrupt) return undefined;
  return [{ ...fail(state, event.error ?? NOT_PROVEN), phase: "lost" }, []];
}

function discard(state: TargetState, event: TargetEvent): Step | undefined {
  switch (event.type) {
    case "failed":
    case "discard":
    case "targetGone":
      return end(state, event.error);
    case "relayEnded":
      return end(state, event.error ?? ENDED_EARLY);
    case "timeout":
      return end(state, NOBODY_CAME);
    case "verdict":
      return event.equal ? undefined : end(state, NOT_PROVEN);
    default:
      return undefined;
  }
}

function end(state: TargetState, error: WireError): Step {
  return [{ ...fail(state, error), phase: "discarding" }, ["endTarget"]];
}

function fail(state: TargetState, error: WireError): TargetState {
  return state.error === null ? { ...state, error } : state;
}

const NOT_PROVEN = new GodwitError("NOT_PROVEN", {}).toJSON();
const NOBODY_CAME = new GodwitError("SOURCE_ABSENT", {}).toJSON();
const ENDED_EARLY = new GodwitError("RELAY_ENDED", {
  side: "target",
  reason: "it ended before QEMU had loaded",
}).toJSON();

function check(before: TargetState, after: TargetState, effects: readonly TargetEffect[]): void {
  if (before.phase !== after.phase) {
    assert(after.phase in TARGET_EDGES[before.phase].to, `no edge ${before.phase} -> ${after.phase}`);
  }
  if (effects.includes("contTarget")) {
    assert(TARGET_MAY_RUN.has(after.phase), "only a recorded commit starts the target's guest");
    assert(after.equal !== false, "a guest whose memory differs never starts");
  }
  if (effects.includes("endTarget"))
    assert(!TARGET_MAY_RUN.has(after.phase), "an owned guest is never discarded");
}
