/** The four strategies as data: what is different about each, once. */
import type { Strategy } from "./report.ts";

export const TIMEOUT_ACTIONS = ["abort", "stop", "postcopy"] as const;
/** What to do when pre-copy has not ended in time. */
export type TimeoutAction = (typeof TIMEOUT_ACTIONS)[number];

interface Manner {
  /** The guest is stopped before memory moves (and continued if the move is undone). */
  readonly stopFirst: boolean;
  /** atOnce: before memory was sent once; byRule: when the convergence controller says so. */
  readonly postcopy: "never" | "atOnce" | "byRule";
}

const MANNERS: { readonly [S in Strategy]: Manner } = {
  "stop-and-copy": { stopFirst: true, postcopy: "never" },
  precopy: { stopFirst: false, postcopy: "never" },
  postcopy: { stopFirst: false, postcopy: "atOnce" },
  hybrid: { stopFirst: false, postcopy: "byRule" },
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

/** Whether the convergence controller decides when pre-copy ends. */
export function endsByRule({ strategy }: Pick<Plan, "strategy">): boolean {
  return !MANNERS[strategy].stopFirst && MANNERS[strategy].postcopy !== "atOnce";
}

/** Whether the convergence controller may also end pre-copy by a turn to post-copy. */
export function mayTurnByRule({ strategy }: Pick<Plan, "strategy">): boolean {
  return MANNERS[strategy].postcopy === "byRule";
}

/** Whether the capability postcopy-ram is set on both sides; without it post-copy cannot be ordered later on. */
export function mayUsePostcopy(plan: Plan): boolean {
  return MANNERS[plan.strategy].postcopy !== "never" || plan.onTimeout === "postcopy";
}

/** Whether post-copy begins as soon as QEMU can be told so. */
export function startsInPostcopy(plan: Plan): boolean {
  return MANNERS[plan.strategy].postcopy === "atOnce";
}
