/**
 * The seams of post-copy as our own paging service. Page numbers count through all blocks (`PageNumbers` of src/pages).
 * Pure: no clock, no socket; who needs a time is handed it.
 */

/** Orders in which pages leave that nobody has asked for (docs/postcopy.md). `auto` is the best by simulation. */
export const PUSH_ORDERS = ["auto", "demand", "linear", "forward", "bubble", "bubbles"] as const;
export type PushOrderName = (typeof PUSH_ORDERS)[number];

/** Pages that may be chosen from: drained, and not sent. Kept by the pager; an order only looks. */
export interface Waiting {
  /** Of the guest; page numbers are below it. */
  readonly totalPages: number;
  readonly count: number;
  has(page: number): boolean;
  /** The first at or after this page (0..totalPages); -1: none. */
  nextAt(page: number): number;
  /** The last at or before this page (-1..totalPages - 1); -1: none. */
  previousAt(page: number): number;
}

/** Chooses which page leaves next that nobody has asked for. One instance serves one post-copy. */
export interface PushOrder {
  /** The guest asked for this page, waiting or not: it is at work there. */
  fault(page: number): void;
  /**
   * The page to push now, one of `waiting`; the caller takes it out at once. -1: none, although some may be waiting
   * (`demand` pushes nothing until `release`).
   */
  next(): number;
  /** The guest has asked for nothing for a while: an order that pushes nothing begins to. */
  release(): void;
}

/** How long the guest waited for pages, from the request seen at the target relay to the page handed to QEMU. */
export interface FaultTimes {
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Upper edges, ascending, with how many fell at or below each and above the one before; the last has no edge (null). */
  readonly buckets: readonly { readonly toMs: number | null; readonly count: number }[];
}

/** What the pager did, for the report. */
export interface PagingFigures {
  readonly order: PushOrderName;
  /** Pages that the target lacked when the guest was switched over. */
  readonly outstanding: number;
  /** Of these: pages that had come since post-copy was ordered, or were held back by a policy, and waited for it. */
  readonly gathered: number;
  /** Of all: sent because the guest asked for them (network faults), and pushed before it did. */
  readonly answered: number;
  readonly pushed: number;
  /** Requests for pages that were on their way already. */
  readonly late: number;
  /** Requests that went on to the source QEMU, because it had not given the page yet. */
  readonly passedOn: number;
  /** From the switch until the source QEMU had given its last page; null: it has not. */
  readonly drainMs: number | null;
  /** The most that the pool held, bytes. */
  readonly poolBytesMax: number;
  /** null: not one request was answered, or the target has not told yet. */
  readonly faultTimes: FaultTimes | null;
}
