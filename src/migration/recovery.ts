/**
 * What may be done with a move that did not settle by itself, by what is seen on both sides. Pure. Nobody guesses: what is
 * not seen counts as the worst, and only the user can say that the other host is fenced.
 */
import { SOURCE_EDGES, type SourcePhase, type TargetPhase } from "./phases.ts";

/** One side's QEMU for this VM. */
export interface QemuSeen {
  readonly running: boolean;
  /** QEMU's run state, such as "postmigrate"; null: its monitor does not answer. */
  readonly status: string | null;
  /** Status of its migration; null: there was none, or its monitor does not answer. */
  readonly migration: string | null;
}

/** What an agent says of its side. */
export interface SideSeen {
  readonly host: string;
  /** null: it knows nothing of this migration. */
  readonly phase: SourcePhase | TargetPhase | null;
  /** When that phase began, ISO 8601 in UTC; null: not known. */
  readonly since: string | null;
  /** null: there is no QEMU of this VM. */
  readonly qemu: QemuSeen | null;
}

/** The other side, or why nothing is known of it. */
export type OtherSeen = SideSeen | { readonly unseen: string };

/** "fenced": only when the user says that the other host can run nothing any more. */
export type Permission = "yes" | "fenced" | "no";

export interface Advice {
  /** What takes no guess and is not under way by itself: the order `settle` does it. null: nothing. */
  readonly settle: "ask" | "resume" | "discard" | null;
  /** To run the guest on this host. */
  readonly resume: Permission;
  /** To end the QEMU of this host, with what it holds. */
  readonly discard: Permission;
  readonly why: string;
}

/** Source phases that are not an end, or in which something may be left to decide on. */
export const SOURCE_UNSETTLED: ReadonlySet<SourcePhase> = new Set([
  "committing",
  "undoing",
  "inDoubt",
  "postcopy",
  "recovering",
  "lost",
]);

/** The same of the target. A guest that is loading or runs whole is none of these. */
export const TARGET_UNSETTLED: ReadonlySet<TargetPhase> = new Set([
  "loaded",
  "committed",
  "postcopy",
  "interrupted",
  "lost",
]);

/** What may be done at the source. @param here  its phase is one of SOURCE_UNSETTLED */
export function adviseSource(here: SideSeen, other: OtherSeen): Advice {
  if (here.qemu === null)
    return advice(
      { settle: here.phase === "lost" ? null : "ask" },
      "The source's QEMU has ended: nothing is left here to run.",
    );
  const lost = here.phase === "lost";
  const discard: Permission = lost ? "yes" : "no";
  if (here.qemu.running) return advice({}, "The guest runs here.");
  if ("unseen" in other)
    return advice(
      { resume: "fenced", discard },
      `The target's host may run the guest, and its agent cannot be asked: ${other.unseen}.`,
    );
  if (other.phase === null && other.qemu === null)
    return advice(
      { resume: "fenced", discard },
      "The target's agent knows nothing of this migration, so it cannot say that nothing runs there.",
    );
  if (other.qemu?.running === true || other.phase === "running")
    return advice({ settle: lost ? "discard" : "ask", discard }, "The guest runs at the target.");
  if (other.phase === "discarded")
    return advice(
      { settle: lost ? "resume" : "ask", resume: "yes", discard },
      "The target gave its copy up before it ran.",
    );
  if (other.phase === "lost" && other.qemu === null)
    return advice(
      { resume: "yes", discard },
      "The guest ran at the target and ended there. Here it stands as it was at the switchover: what it did since is gone.",
    );
  if (other.phase === "lost")
    return advice(
      { discard },
      "What is left of the guest at the target must be given up there first (--discard).",
    );
  return advice(
    { settle: lost ? null : "ask", discard },
    `The target's agent answers (${other.phase ?? "nothing is on its record"}): the agents settle it.`,
  );
}

/** What may be done at the target. @param here  its phase is one of TARGET_UNSETTLED */
export function adviseTarget(here: SideSeen, other: OtherSeen): Advice {
  if (here.phase === "loaded") return adviseLoaded(other);
  if (here.phase === "lost")
    return advice(
      { discard: here.qemu === null ? "no" : "yes" },
      "The guest cannot go on here: what it lacks will not come.",
    );
  if ("unseen" in other)
    return advice(
      { discard: "fenced" },
      `What the guest lacks is at the source, whose agent cannot be asked: ${other.unseen}.`,
    );
  if (other.qemu?.running === true)
    return advice({ settle: "discard", discard: "yes" }, "The guest runs at the source, by order.");
  if (other.phase === null || isOver(other.phase))
    return advice(
      { discard: "yes" },
      `The source brings no pages any more (${other.phase ?? "it knows nothing of this migration"}).`,
    );
  return advice({}, `The source's agent answers (${other.phase}): the agents settle it.`);
}

/** Everything is here, proven equal, and has never run. */
function adviseLoaded(other: OtherSeen): Advice {
  const whole = "The whole guest stands here, loaded and proven equal";
  if ("unseen" in other)
    return advice(
      { resume: "fenced" },
      `${whole}. The source's host may run it, and its agent cannot be asked: ${other.unseen}.`,
    );
  if (other.qemu?.running === true)
    return advice(
      { settle: "discard", discard: "yes" },
      "The guest runs at the source; this copy never ran.",
    );
  if (other.phase === null)
    return advice({ resume: "fenced" }, `${whole}. The source's agent knows nothing of this migration.`);
  if (isOver(other.phase) && other.qemu === null)
    return advice({ resume: "yes" }, `${whole}. The source's QEMU has ended.`);
  if (isOver(other.phase))
    return advice(
      { settle: "discard", discard: "yes" },
      `The source has ended this move (${other.phase}) and holds the guest.`,
    );
  return advice({}, `The source's agent answers (${other.phase}): the agents settle it.`);
}

function isOver(phase: SourcePhase | TargetPhase): boolean {
  return (
    Object.hasOwn(SOURCE_EDGES, phase) && Object.keys(SOURCE_EDGES[phase as SourcePhase].to).length === 0
  );
}

function advice(may: Partial<Omit<Advice, "why">>, why: string): Advice {
  return { settle: null, resume: "no", discard: "no", ...may, why };
}
