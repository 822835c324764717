/** The seam of `npm run faults`: what a case is, what is seen after it, and what the matrix is made of. */
import type { QemuArtefact } from "../setup/mod.ts";

/** Whose guest it is and who moves it. */
export type FaultSystem = "godwit" | "stock";

/** Where vCPUs were seen running once all had settled, or at any time together. */
export type Runs = "source" | "target" | "none" | "both";

/**
 * What must hold after a case, besides the invariants (never two, no corrupt page, nothing untrue said):
 * - survives: the guest runs on exactly one side, and its next migration works;
 * - completes: the same, and the move has completed (the target runs, the digests are equal);
 * - source: the same, and it is the source that goes on;
 * - mayBeLost: as survives, or no guest is left and that is what was said: the only copy of some of it was destroyed.
 */
export type FaultPromise = "survives" | "completes" | "source" | "mayBeLost";

export interface FaultCase {
  /** Unique and stable: "precopy/pass/kill source relay". `--only` takes a part of it. */
  readonly name: string;
  /** Which table of the report it belongs to: "kills", "cuts", "post-copy", "resources". */
  readonly group: string;
  readonly system: FaultSystem;
  readonly strategy: string;
  /** When the fault is put in: a phase, or a share of the progress such as "35 %". */
  readonly moment: string;
  /** What is done: "kill source relay", "cut 2 s", ... */
  readonly fault: string;
  /** Default: survives. Of stock QEMU nothing is promised. */
  readonly promise?: FaultPromise;
  /** Also run, as part of a small selection, by `npm test`. */
  readonly slice?: boolean;
  /**
   * Starts what it needs, puts the fault in, waits until all has settled, tries a second migration, ends what it started.
   * Never throws for what the fault does to the guest: that is the outcome. Throws when the case itself could not be set up
   * (the fault came too late, a process did not start): then there is no outcome, and the report says so.
   */
  run(qemu: QemuArtefact, signal: AbortSignal): Promise<FaultSeen>;
  /** Cases may share hosts and a guest, one after the other: ends those. Called for each case when the last one has run. */
  end?(): Promise<void>;
}

/** What was seen after a fault. */
export interface FaultSeen {
  readonly runs: Runs;
  /** Two ran at the same time at any moment that was looked at (at least each 20 ms, by QMP or by heartbeats of both). */
  readonly everBoth: boolean;
  /** By the guest's own oracle, after at least one whole pass since the fault; "none": no guest is left. */
  readonly oracle: "clean" | "corrupt" | "none";
  /** The digests of both relays; null: not compared, or not our system. */
  readonly equal: boolean | null;
  /** How the move ended, in the system's own words: "completed", "aborted", "inDoubt", "lost", "paused", ... */
  readonly status: string;
  /** Code of the error that was told, null: none. */
  readonly error: string | null;
  /** Does what was said agree with what was seen? */
  readonly truthful: boolean;
  /** The next migration of the same guest; "no guest": none is left to move. */
  readonly again: "worked" | "failed" | "no guest";
  /** From the fault until all had settled. */
  readonly settledMs: number;
  readonly note?: string;
}

/** One row of the matrix. `seen` is null when the case could not be set up; then `problem` says why. */
export interface FaultRow {
  readonly name: string;
  readonly group: string;
  readonly system: FaultSystem;
  readonly strategy: string;
  readonly moment: string;
  readonly fault: string;
  readonly qemu: string;
  readonly seen: FaultSeen | null;
  readonly problem: string | null;
  readonly promise: FaultPromise | null;
  /** Whether the promise was kept (`lab/faults/promise.ts`); null: there is none (stock), or nothing was seen. */
  readonly kept: boolean | null;
  /** When it was run, ISO 8601 in UTC. */
  readonly at: string;
}
