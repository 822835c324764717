/** The four strategies as data: what is different about each, once. */
import type { Strategy } from "./report.ts";

export const TIMEOUT_ACTIONS = ["abort", "stop", "postcopy"] as const;
/** What to do when pre-copy has not ended in time. */
export type TimeoutAction = (typeof TIMEOUT_ACTIONS)[number];

interface Manner {
  /** The guest is stopped before memory moves (and continued if the move is undone). */
  readonly stopFirst: boolean;
  /** The sweep at whose beginning post-copy starts: 1 = at once, 2 = when all memory was sent once; null = never. */
  readonly postcopyAtPass: number | null;
}

const MANNERS: { readonly [S in Strategy]: Manner } = {
  "stop-and-copy": { stopFirst: true, postcopyAtPass: null },
  precopy: { stopFirst: false, postcopyAtPass: null },
  postcopy: { stopFirst: false, postcopyAtPass: 1 },
  hybrid: { stopFirst: false, postcopyAtPass: 2 },
};

/** What the state machine needs to know of an order. */
export interface Plan {
  readonly strategy: Strategy;
  readonly onTimeout: TimeoutAction;
  /** Post-copy also on a link that was lost during this move's pre-copy. Default: no. */
  readonly forcePostcopy?: boolean;
}

/** Whether the guest stands still from the beginning, so that there is no end of pre-copy to decide. */
export function stopsFirst(plan: Plan): boolean {
  return MANNERS[plan.strategy].stopFirst;
}

/** Whether the strategy itself leads to post-copy, so that pre-copy should not end by itself before. */
export function endsInPostcopy(plan: Plan): boolean {
  return MANNERS[plan.strategy].postcopyAtPass !== null;
}

/** Whether the capability postcopy-ram is set on both sides; without it post-copy cannot be ordered later on. */
export function mayUsePostcopy(plan: Plan): boolean {
  return MANNERS[plan.strategy].postcopyAtPass !== null || plan.onTimeout === "postcopy";
}

/**
 * Whether post-copy begins now.
 * @param pass  QEMU's dirty-sync-count, >= 0; QEMU's word for it is MIGRATION_PASS
 */
export function startsPostcopyAt(plan: Plan, pass: number): boolean {
  const at = MANNERS[plan.strategy].postcopyAtPass;
  return at !== null && pass >= at;
}
