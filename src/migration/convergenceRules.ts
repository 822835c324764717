/**
 * When pre-copy ends, and how: named rules in the order in which they are asked; the first that applies decides. Each
 * says why, in words that a report can show. docs/convergence.md explains them.
 */
import type { Outlook } from "./outlook.ts";

/** What the rules look at, at one moment. */
export interface Situation {
  readonly elapsedMs: number;
  /** 0: none. */
  readonly timeoutMs: number;
  /** QEMU's dirty-sync-count: 1 while memory crosses for the first time. */
  readonly pass: number;
  /** What a stop now would leave to copy: pages of QEMU's, not encoded. */
  readonly lastSetBytes: number;
  readonly backlogBytes: number;
  /** What a stop now would cost; null: not measured yet. */
  readonly expectedDowntimeMs: number | null;
  /** What it would have cost at the beginning of this pass and of the one before. null: not known. */
  readonly atPassStart: { readonly nowMs: number | null; readonly beforeMs: number | null };
  readonly budgetMs: number;
  /** Twice in a row a pass found more than nine tenths of what the one before had found. */
  readonly notShrinking: boolean;
  readonly streamBytes: number;
  readonly ramBytes: number;
  /** Since when not a byte has moved. */
  readonly stillMs: number;
  readonly linkUp: boolean;
  /** The dynamic rate limit would have to be above its maximum (rate.ts). */
  readonly rateExceeded: boolean;
  /** The engine ends pre-copy as Clark et al. did, whatever the budget. */
  readonly asInPaper: boolean;
  /** Pre-copy may end by a turn to post-copy. */
  readonly mayTurn: boolean;
  /** What more passes would cost; null: not known yet, or not asked for. */
  readonly outlook: Outlook | null;
}

export interface Rule {
  readonly name: string;
  /** switch: the guest is stopped and the rest copied; turn: post-copy brings the rest. */
  readonly action: "hold" | "switch" | "turn";
  /** It may end pre-copy although the stop is expected to take longer than the budget. */
  readonly mayExceed: boolean;
  readonly because: string;
  readonly when: (s: Situation) => boolean;
}

const PAGE_BYTES = 4096;
/** Xen's code, after Clark et al., NSDI 2005. */
export const FEW_PAGES = 50;
export const PASSES_MAX = 29;
export const TOTAL_TIMES_RAM_MAX = 3;
/** Longer than the longest pause of anything that works. */
export const STILL_MS_MAX = 5_000;
/** Below this a stop is mostly what every stop costs: waiting gains nothing that anybody sees. */
export const SMALL_DOWNTIME_MS = 60;
/** A pass is worth its time when it makes the stop shorter by a quarter. */
const WORTH = 0.75;
/** Rather a stop that fits than what happens at the timeout. */
const NEARLY_UP = 0.9;

/** A pass has to make the rest smaller by so much, or post-copy is better. */
const SHARE_MAX = 0.85;
/** Passes may carry so much of what the first one did before a stop fits. */
const PASSES_OF_FIRST_MAX = 0.5;
/** All of the move: what crosses, of the memory's size. */
const WHOLE_OF_RAM_MAX = 1.2;

const fits = (s: Situation): boolean => s.expectedDowntimeMs !== null && s.expectedDowntimeMs <= s.budgetMs;
/** Where the link is down nothing is known of what it will carry. */
const undecided = (s: Situation): boolean => s.mayTurn && s.linkUp && !fits(s);
/** What is wrong with going on; null: nothing, or nothing is known. */
const outlook = (s: Situation): Outlook | null =>
  undecided(s) && s.outlook !== null && !s.outlook.fits ? s.outlook : null;

export const RULES: readonly Rule[] = [
  {
    name: "stalled",
    action: "hold",
    mayExceed: false,
    because: "nothing has moved for seconds, and the link is up",
    when: (s) => s.linkUp && s.stillMs >= STILL_MS_MAX,
  },
  {
    name: "first-pass",
    action: "hold",
    mayExceed: false,
    because: "memory has not crossed once yet",
    when: (s) => s.pass < 2,
  },
  {
    name: "few-pages",
    action: "switch",
    mayExceed: true,
    because: "so little is left that one more pass cannot make the stop shorter",
    when: (s) => s.lastSetBytes + s.backlogBytes <= FEW_PAGES * PAGE_BYTES,
  },
  {
    name: "rate-at-maximum",
    action: "switch",
    mayExceed: true,
    because: "the guest writes faster than the highest rate allowed, and the engine is the paper's",
    when: (s) => s.asInPaper && s.rateExceeded,
  },
  {
    name: "pass-limit",
    action: "switch",
    mayExceed: true,
    because: "as many passes as the paper's code makes",
    when: (s) => s.asInPaper && s.pass > PASSES_MAX,
  },
  {
    name: "total-limit",
    action: "switch",
    mayExceed: true,
    because: "three times the memory was sent, as in the paper's code",
    when: (s) => s.asInPaper && s.streamBytes > TOTAL_TIMES_RAM_MAX * s.ramBytes,
  },
  {
    name: "post-copy-time",
    action: "turn",
    mayExceed: false,
    because: "the timeout would come before a stop fits",
    when: (s) =>
      s.timeoutMs > 0 &&
      undecided(s) &&
      (s.elapsedMs >= NEARLY_UP * s.timeoutMs || (outlook(s)?.wholeMs ?? 0) > s.timeoutMs),
  },
  {
    name: "unmeasured",
    action: "hold",
    mayExceed: false,
    because: "the link's rate is not known yet",
    when: (s) => s.expectedDowntimeMs === null,
  },
  {
    name: "sampling",
    action: "hold",
    mayExceed: false,
    because: "what a page costs that is sent again is not known yet",
    when: (s) => undecided(s) && s.outlook === null,
  },
  {
    name: "post-copy-dirty-rate",
    action: "turn",
    mayExceed: false,
    because: "the guest writes faster than what it writes can be carried",
    when: (s) => (outlook(s)?.share ?? 0) >= 1,
  },
  {
    name: "post-copy-no-progress",
    action: "turn",
    mayExceed: false,
    because: "one more pass would leave hardly less than it carries",
    when: (s) => (outlook(s)?.share ?? 0) > SHARE_MAX,
  },
  {
    name: "post-copy-bytes",
    action: "turn",
    mayExceed: false,
    because: "until a stop fits, passes would carry more than they are worth",
    when: (s) => {
      const o = outlook(s);
      if (o === null) return false;
      const { passesBytes, firstPassBytes, wholeBytes } = o;
      return passesBytes > PASSES_OF_FIRST_MAX * firstPassBytes || wholeBytes > WHOLE_OF_RAM_MAX * s.ramBytes;
    },
  },
  {
    name: "not-converging",
    action: "hold",
    mayExceed: false,
    because:
      "a stop would take longer than allowed, and passes do not make it shorter: only the timeout helps",
    when: (s) => !fits(s) && s.notShrinking,
  },
  {
    name: "over-budget",
    action: "hold",
    mayExceed: false,
    because: "a stop would take longer than allowed",
    when: (s) => !fits(s),
  },
  {
    name: "small",
    action: "switch",
    mayExceed: false,
    because: "a stop is short by itself",
    when: (s) => (s.expectedDowntimeMs ?? 0) <= Math.max(SMALL_DOWNTIME_MS, s.budgetMs / 4),
  },
  {
    name: "no-gain",
    action: "switch",
    mayExceed: false,
    because: "it fits, and the last pass has not made it shorter by a quarter",
    when: ({ atPassStart: { nowMs, beforeMs } }) =>
      nowMs !== null && beforeMs !== null && nowMs > WORTH * beforeMs,
  },
  {
    name: "enough-passes",
    action: "switch",
    mayExceed: false,
    because: "it fits, after as many passes as Xen's code makes",
    when: (s) => s.pass > PASSES_MAX,
  },
  {
    name: "enough-sent",
    action: "switch",
    mayExceed: false,
    because: "it fits, after three times the memory",
    when: (s) => s.streamBytes > TOTAL_TIMES_RAM_MAX * s.ramBytes,
  },
  {
    name: "time-nearly-up",
    action: "switch",
    mayExceed: false,
    because: "it fits now, and the timeout is near",
    when: (s) => s.timeoutMs > 0 && s.elapsedMs >= NEARLY_UP * s.timeoutMs,
  },
  {
    name: "shrinking",
    action: "hold",
    mayExceed: false,
    because: "it fits, and one more pass makes it shorter",
    when: () => true,
  },
];

/** The rule that decides. Pure; the last rule always applies. */
export function judge(situation: Situation): Rule {
  const rule = RULES.find(({ when }) => when(situation));
  return rule ?? RULES.at(-1)!;
}
