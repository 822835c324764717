import {
  Convergence,
  endsByRule,
  mayTurnByRule,
  type RateRange,
  type SourceEvent,
  type SourceState,
  STEP_BYTES_PER_SEC,
  type SwitchoverFacts,
  stopsFirst,
} from "../../migration/mod.ts";
import type { MigrationInfo } from "../../qemu/mod.ts";
import type { RelayFigures } from "../../relay/mod.ts";
import type { MigrationOrder } from "../api.ts";
import { DOWNTIME_LIMIT_MS_MAX } from "../limits.ts";

/** How often QEMU is asked: for progress, while a stop is far off, and while it may be near. */
const ASK_MS = { idle: 500, far: 250, near: 50 } as const;
/** A stop is near when it would take no longer than so many times what is allowed. */
const NEAR_TIMES = 2;
/** QEMU is asked often while this decides: each question may be the one that ends it. */
const SAMPLING = "sampling";
/** The decision in the report that post-copy was wanted and is not to be had. */
const REFUSED = "post-copy-refused";
/** Smaller changes of the cap are not worth an order. */
const CAP_CHANGE = 0.05;

export interface SteeringOptions {
  readonly order: MigrationOrder;
  /** Since the order. */
  readonly elapsedMs: () => number;
  /** Whether pre-copy may be told to end: it runs, and nothing else was ordered meanwhile. */
  readonly mayEnd: () => boolean;
  readonly setDowntimeLimit: (ms: number) => void;
  /** Begins post-copy, or has it refused: `ended` or `refused` is told before this returns. */
  readonly turn: () => void;
  readonly setBandwidth: (bytesPerSec: number) => void;
  readonly log: (fields: object, text: string) => void;
}

/** Feeds the convergence controller with what QEMU and the source relay say, and does what it says. */
export class Steering {
  readonly #options: SteeringOptions;
  readonly #controller: Convergence;
  /** Pre-copy ends by a rule; some strategies end it in their own ways. */
  #controls: boolean;
  #refused = false;
  readonly #maxBytesPerSec: number;
  #capBytesPerSec: number;
  #linkUp = true;
  #askEveryMs: number = ASK_MS.idle;
  #expectedDowntimeMs: number | null = null;
  #rule: string | null = null;
  /** The rule by which post-copy is being asked for. */
  #turningBy: string | null = null;

  constructor(options: SteeringOptions) {
    const { order } = options;
    this.#options = options;
    this.#controls = endsByRule(order);
    const rate = rateRange(order);
    this.#capBytesPerSec = firstBandwidth(order);
    this.#maxBytesPerSec = order.bandwidthBytesPerSec;
    this.#controller = new Convergence({ ...order, rate, mayTurn: mayTurnByRule(order) });
  }

  /** When QEMU should be asked again, ms from now. */
  get askEveryMs(): number {
    return this.#askEveryMs;
  }

  /** What a stop now would cost by the controller's estimate; null: not known, or not its business. */
  get expectedDowntimeMs(): number | null {
    return this.#expectedDowntimeMs;
  }

  relay(figures: RelayFigures): void {
    const { streamBytes, wireBytes, backlogBytes, deliveredBytesPerSec } = figures;
    this.#controller.relay({
      ...{ atMs: this.#options.elapsedMs(), streamBytes, backlogBytes, deliveredBytesPerSec },
      wireBytes: wireBytes.forward,
    });
  }

  link(up: boolean): void {
    this.#linkUp = up;
  }

  passed(pass: number): void {
    this.#controller.passed(pass, this.#options.elapsedMs());
  }

  /** An answer of query-migrate. */
  qemu({ status, ram }: MigrationInfo): void {
    if (status !== "active" || ram === undefined || !this.#controls) return;
    if (this.#controller.over || !this.#options.mayEnd()) return;
    const verdict = this.#controller.tick({
      atMs: this.#options.elapsedMs(),
      pass: ram["dirty-sync-count"],
      remainingBytes: ram.remaining,
      ramBytes: ram.total,
      linkUp: this.#linkUp,
    });
    if (verdict.bandwidthBytesPerSec !== null) this.#cap(verdict.bandwidthBytesPerSec);
    const { expectedDowntimeMs, budgetMs, rule } = verdict;
    this.#expectedDowntimeMs = expectedDowntimeMs;
    const near = ram["dirty-sync-count"] > 1 && (expectedDowntimeMs ?? 0) <= NEAR_TIMES * budgetMs;
    this.#askEveryMs = near || rule === SAMPLING ? ASK_MS.near : ASK_MS.far;
    if (rule !== this.#rule) this.#options.log({ ...verdict, pass: ram["dirty-sync-count"] }, "pre-copy");
    this.#rule = rule;
    if (verdict.switches) this.#options.setDowntimeLimit(DOWNTIME_LIMIT_MS_MAX);
    if (verdict.turns) this.#turn(rule);
  }

  /**
   * Post-copy is not to be had any more, and the report says so: pre-copy goes on and is ended by the rules, whatever the
   * strategy. The first call counts.
   */
  refused(): void {
    if (this.#refused) return;
    this.#refused = true;
    this.#controls = true;
    this.#controller.refused(REFUSED, this.#options.elapsedMs());
  }

  /**
   * Pre-copy has ended, or is being ended; after a verdict that switches this changes nothing of the report, and for a
   * turn by a rule that rule stands there. The rest is copied at the highest rate.
   */
  ended(rule: string): void {
    this.#askEveryMs = ASK_MS.idle;
    this.#expectedDowntimeMs = null;
    this.#controller.ended(this.#turningBy ?? rule, this.#options.elapsedMs());
    this.#cap(this.#maxBytesPerSec);
  }

  /** For the report. */
  facts(): SwitchoverFacts | null {
    return this.#controller.facts();
  }

  #turn(rule: string): void {
    this.#turningBy = rule;
    this.#options.turn();
    this.#turningBy = null;
  }

  #cap(bytesPerSec: number): void {
    const now = this.#capBytesPerSec;
    if (bytesPerSec === now) return;
    const slight = Math.abs(bytesPerSec - now) < CAP_CHANGE * now;
    if (slight && bytesPerSec !== this.#maxBytesPerSec) return;
    this.#capBytesPerSec = bytesPerSec;
    this.#options.setBandwidth(bytesPerSec);
  }
}

/**
 * What this step of the source's machine says of the end of pre-copy; null: nothing. QEMU stops the guest by itself when
 * nothing is left, and when it was told to (which `Steering` knows).
 */
export function endOfPrecopy(before: SourceState, event: SourceEvent, after: SourceState): string | null {
  if (before.phase !== "precopy") return null;
  if (event.type === "timeout" && after.phase === "precopy") {
    const refused = after.postcopyRefused && after.plan.onTimeout === "postcopy";
    return refused ? null : "time-limit";
  }
  if (!before.turning && after.turning) return "post-copy";
  if (after.phase !== "switchover") return null;
  return stopsFirst(before.plan) ? "stop-and-copy" : "nothing-left";
}

/** The link's cap at the beginning: passes begin at the least, a guest that stands still or has moved on gets the most. */
export function firstBandwidth(order: MigrationOrder): number {
  return rateRange(order)?.minBytesPerSec ?? order.bandwidthBytesPerSec;
}

function rateRange(order: MigrationOrder): RateRange | null {
  const { strategy, bandwidthMinBytesPerSec, bandwidthBytesPerSec } = order;
  // The first pass is all that these have: what it is paced by would be paid in downtime.
  if (bandwidthMinBytesPerSec === 0 || strategy !== "precopy") return null;
  return {
    minBytesPerSec: bandwidthMinBytesPerSec,
    maxBytesPerSec: bandwidthBytesPerSec,
    stepBytesPerSec: STEP_BYTES_PER_SEC,
  };
}
