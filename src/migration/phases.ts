/**
 * Every phase of both sides and every legal edge between phases, once. docs/states.md is generated from this table,
 * and a step along any other edge is a bug that throws.
 */

type Edges<P extends string> = {
  readonly [Q in P]: { readonly about: string; readonly to: Partial<Record<P, string>> };
};

export type SourcePhase =
  | "preparing"
  | "starting"
  | "precopy"
  | "switchover"
  | "handover"
  | "loaded"
  | "committing"
  | "postcopy"
  | "recovering"
  | "undoing"
  | "inDoubt"
  | "aborting"
  | "completed"
  | "refused"
  | "aborted"
  | "lost";

/** `about` says who may run the guest; `to` gives for each next phase what leads there. */
export const SOURCE_EDGES: Edges<SourcePhase> = {
  preparing: {
    about: "The target is asked to prepare. The guest is not touched.",
    to: {
      starting: "target is ready",
      refused: "target or precheck refuses",
      aborted: "cancelled",
      aborting: "source agent restarted: what it had begun is undone",
      lost: "source QEMU died",
    },
  },
  starting: {
    about: "The source relay is started. The guest is not touched.",
    to: { precopy: "relay listens", aborting: "failure or cancel", lost: "source QEMU died" },
  },
  precopy: {
    about: "Memory crosses. The source can resume at any moment.",
    to: {
      switchover: "guest stopped (STOP)",
      handover: "post-copy is ordered and our own `stop` holds the guest",
      loaded: "target loaded, digests equal (STOP seen late)",
      aborting:
        "failure, digests differ, timeout or cancel; or the link is lost, and the target says discarded",
      lost: "source QEMU died",
    },
  },
  switchover: {
    about:
      "The source's guest stands still, the rest of its state crosses. QEMU still resumes it when the move fails.",
    to: {
      handover: "post-copy is ordered and our own `stop` holds the guest",
      loaded: "target loaded, digests equal",
      aborting:
        "failure, digests differ, cancel, or stop-and-copy out of time; or the link is lost, and the target says discarded",
      lost: "source QEMU died",
    },
  },
  handover: {
    about: "Post-copy begins. Our own `stop` keeps the source still, the target may start by itself.",
    to: {
      postcopy: "package loaded: the target may run; or the link is lost, and the target says that it may",
      loaded: "the last pass was quicker: target loaded, digests equal",
      undoing: "failure or digests differ; or the link is lost, and the target says discarded",
      lost: "source QEMU died",
    },
  },
  loaded: {
    about: "The target has everything and stands still. SHUT is released to the source QEMU.",
    to: {
      committing: "source QEMU is completed (or dead: it cannot run either)",
      aborting: "source QEMU says failed: it resumes",
    },
  },
  committing: {
    about: "The commit is sent. Only the target agent may name the owner now.",
    to: {
      completed: "target says running",
      aborting: "target says discarded",
      inDoubt: "no answer",
      lost: "target discarded, source QEMU dead",
    },
  },
  postcopy: {
    about: "The target runs, pages are still missing there. No way back.",
    to: {
      completed: "every page has arrived, and the target says running",
      recovering: "a relay, or the target QEMU's connection, is lost",
      aborting: "target says discarded (its agent restarted before the guest ran); or by order",
      lost: "target QEMU died, or digests differ",
    },
  },
  recovering: {
    about:
      "The target stands still where pages are missing. A relay is made that brings them, from the source's memory; tried again until it succeeds.",
    to: {
      postcopy: "the target takes pages again",
      completed: "target says running: every page had arrived",
      aborting: "target says discarded (its agent restarted before the guest ran); or by order",
      lost: "source or target QEMU died, or the source's memory cannot be read",
    },
  },
  undoing: {
    about:
      "Post-copy failed. The target agent is asked to discard; the source stands still until it says so.",
    to: {
      aborting: "target says discarded",
      postcopy: "target says postcopy, the relay still carries",
      recovering: "target says postcopy or interrupted, and no relay carries",
      completed: "target says running",
      inDoubt: "no answer",
      lost: "target says lost",
    },
  },
  inDoubt: {
    about: "The target agent does not answer. The source stands still and asks again; nobody guesses.",
    to: {
      committing: "target stands loaded: commit again",
      undoing: "target stands unloaded: ask it to discard again",
      completed: "target says running",
      aborting: "target says discarded; or by order",
      postcopy: "target says postcopy, the relay still carries",
      recovering: "target says postcopy or interrupted, and no relay carries",
      lost: "target says lost, or it was discarded and the source QEMU is dead",
    },
  },
  aborting: {
    about: "Nothing runs at the target and nothing will. The source guest is made to run again.",
    to: { aborted: "the source guest runs", lost: "the source guest cannot be continued" },
  },
  completed: { about: "The guest runs at the target.", to: {} },
  refused: { about: "Nothing was done. The guest runs at the source.", to: {} },
  aborted: { about: "Undone. The guest runs at the source.", to: {} },
  lost: { about: "No side can run the guest any more; the report says why.", to: {} },
};

export type TargetPhase =
  | "preparing"
  | "ready"
  | "loading"
  | "loaded"
  | "committed"
  | "postcopy"
  | "interrupted"
  | "running"
  | "discarding"
  | "discarded"
  | "lost";

export const TARGET_EDGES: Edges<TargetPhase> = {
  preparing: {
    about: "QEMU is started with -S -incoming defer, and the target relay.",
    to: { ready: "both listen", discarding: "failure, abort, or target agent restarted" },
  },
  ready: {
    about: "Waits for the source relay.",
    to: { loading: "link is up", discarding: "failure, abort or nobody came" },
  },
  loading: {
    about: "State arrives. The guest stands still.",
    to: {
      loaded: "QEMU loaded everything, digests equal",
      committed: "post-copy: package loaded; or loaded and the commit was there first",
      discarding: "failure, digests differ or abort",
    },
  },
  loaded: {
    about: "Everything is here. The guest stands still until the source agent commits.",
    to: { committed: "commit", discarding: "abort, QEMU died, or target agent restarted" },
  },
  committed: {
    about: "Recorded: this side owns the guest. `cont` is on its way.",
    to: {
      running: "guest runs, nothing is missing",
      postcopy: "guest runs, pages are missing",
      interrupted: "guest runs, pages are missing, and no relay brings them",
      discarding: "QEMU refused `cont`, or died before it said RESUME: it has not run and will not",
      lost: "QEMU died and an agent before this one had given `cont`; or digests differ",
    },
  },
  postcopy: {
    about: "The guest runs here, pages are still missing.",
    to: {
      running: "every page is here",
      interrupted: "the relay or its connection to QEMU is lost, or the source recovers",
      lost: "QEMU died, digests differ, or by order",
    },
  },
  interrupted: {
    about: "The guest stands still where pages are missing. Waits for the source to bring them in a new way.",
    to: {
      postcopy: "QEMU takes pages again",
      running: "every page had come",
      lost: "QEMU died, the source gives up, or by order",
    },
  },
  running: { about: "The guest runs here and needs nobody else.", to: {} },
  discarding: { about: "QEMU is ended; its guest has never run.", to: { discarded: "QEMU is gone" } },
  discarded: { about: "Nothing is left here. The source may run its guest again.", to: {} },
  lost: { about: "The guest ran here and cannot go on.", to: {} },
};

/** Phases in which the source's vCPUs may run, by our order or by QEMU's own (it resumes when a migration fails). */
export const SOURCE_MAY_RUN: ReadonlySet<SourcePhase> = new Set([
  "preparing",
  "starting",
  "precopy",
  "switchover",
  "loaded",
  "aborting",
  "aborted",
  "refused",
]);

/** Phases in which the target's vCPUs may run. Never together with SOURCE_MAY_RUN. */
export const TARGET_MAY_RUN: ReadonlySet<TargetPhase> = new Set([
  "committed",
  "postcopy",
  "interrupted",
  "running",
  "lost",
]);

/**
 * Not worth a write to the disk while the guest stands still or an order waits: an agent that restarts treats the record
 * before in the same way. What matters is on it before: `handover` before post-copy begins, `loaded` before the commit.
 */
export const SOURCE_UNRECORDED: ReadonlySet<SourcePhase> = new Set([
  "starting",
  "precopy",
  "switchover",
  "committing",
]);

/** Phases whose loss would be a lie after a restart; an older record only makes the move be undone, or recovered. */
export const TARGET_RECORDED: ReadonlySet<TargetPhase> = new Set([
  "committed",
  "postcopy",
  "running",
  "discarded",
  "lost",
]);
