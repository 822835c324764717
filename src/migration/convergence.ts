/**
 * The convergence controller: says when QEMU shall end pre-copy. Pure: it is told what QEMU and the relay say, and when.
 *
 * QEMU's own rule cannot be used: it takes what the relay accepts for what the link carries, and knows nothing of
 * encodings. So its downtime-limit is kept tiny until a rule of convergenceRules.ts says "switch".
 */
import type { EngineName } from "../pages/mod.ts";
import { judge, type Situation } from "./convergenceRules.ts";
import { type Outlook, outlookOf } from "./outlook.ts";
import { type RateChoice, type RateRange, rateOfPass } from "./rate.ts";
import type { Decision, SwitchoverFacts } from "./report.ts";
import { type CarriedSample, Throughput } from "./throughput.ts";

export interface ConvergenceOrder {
  readonly engine: EngineName;
  readonly downtimeLimitMs: number;
  /** What the limit may grow to; 0: it stays. */
  readonly downtimeLimitMaxMs: number;
  /** 0: none. */
  readonly timeoutMs: number;
  /** The dynamic rate limit; null: the cap is not the controller's. */
  readonly rate: RateRange | null;
  /** It may also say that pre-copy shall end by a turn to post-copy. */
  readonly mayTurn: boolean;
}

/** What query-migrate said at one moment. Times since the order. */
export interface Tick {
  readonly atMs: number;
  readonly pass: number;
  readonly remainingBytes: number;
  readonly ramBytes: number;
  readonly linkUp: boolean;
}

export interface Verdict {
  readonly rule: string;
  readonly switches: boolean;
  /** Post-copy shall begin. It has only begun once `ended` was told. */
  readonly turns: boolean;
  readonly expectedDowntimeMs: number | null;
  readonly budgetMs: number;
  /** The link's cap from now on; null: it stays. */
  readonly bandwidthBytesPerSec: number | null;
}

/** Device state, the digests' comparison and the two-phase commit: what a stop costs when nothing is left to copy. */
export const FIXED_DOWNTIME_MS = 45;
/** Passes over which the rate of writing is remembered. */
const PASSES_KEPT = 3;
const DECISIONS_MAX = 50;
/** Without a timeout the limit doubles with each pass, but not more often than this. */
const RAMP_STEP_MS = 1_000;
const SAME_SET = 0.9;

interface Pass {
  /** What was dirty at its beginning. */
  readonly setBytes: number;
  /** How long the guest had to write it: the pass before. */
  readonly writtenInMs: number;
  readonly expectedDowntimeMs: number | null;
  /** What passes after the first had carried when it began. */
  readonly laterBytes: number;
}

/** One controller per migration. */
export class Convergence {
  readonly #order: ConvergenceOrder;
  readonly #throughput = new Throughput();
  readonly #decisions: Decision[] = [];
  /** Newest last, from pass 2 on. */
  readonly #passes: Pass[] = [];
  /** Of the newest pass that has begun. */
  #pass = 0;
  #passAtMs = 0;
  /** Between the pass last judged and the one that has begun. */
  #writtenInMs = 0;
  #passJudged = 0;
  #firstPassEndedAtMs: number | null = null;
  #doublings = 0;
  #doubledAtMs = 0;
  #moved: { readonly bytes: number; readonly atMs: number } = { bytes: -1, atMs: 0 };
  #choice: RateChoice | null = null;
  #rule: string | null = null;
  #mayTurn: boolean;

  constructor(order: ConvergenceOrder) {
    this.#order = order;
    this.#mayTurn = order.mayTurn;
  }

  /** Whether pre-copy has been told to end, or has ended. */
  get over(): boolean {
    return this.#rule !== null;
  }

  /** The source relay's newest figures. */
  relay(sample: CarriedSample): void {
    this.#throughput.add(sample);
    const bytes = sample.streamBytes + sample.wireBytes;
    if (bytes !== this.#moved.bytes) this.#moved = { bytes, atMs: sample.atMs };
  }

  /** QEMU has begun a pass (MIGRATION_PASS), or was found in one. */
  passed(pass: number, atMs: number): void {
    if (pass <= this.#pass) return;
    // Several may have gone by unseen: they were about equal.
    if (this.#pass > 0) this.#writtenInMs = Math.max(1, (atMs - this.#passAtMs) / (pass - this.#pass));
    this.#pass = pass;
    this.#passAtMs = atMs;
    if (pass < 2) return;
    this.#firstPassEndedAtMs ??= atMs;
    this.#throughput.passBegun();
    if (this.#doublings === 0 || atMs - this.#doubledAtMs >= RAMP_STEP_MS) {
      this.#doublings++;
      this.#doubledAtMs = atMs;
    }
  }

  /** Judges what QEMU says now. After a verdict that switches there is nothing more to judge. */
  tick(tick: Tick): Verdict {
    this.passed(tick.pass, tick.atMs);
    const lastSetBytes = tick.remainingBytes + this.#writtenSince(tick);
    const expectedDowntimeMs = this.#expected(lastSetBytes);
    this.#beginPass(tick, expectedDowntimeMs);
    const situation = this.#situation(tick, lastSetBytes, expectedDowntimeMs);
    const rule = judge(situation);
    const verdict: Verdict = {
      rule: rule.name,
      switches: rule.action === "switch",
      turns: rule.action === "turn",
      expectedDowntimeMs,
      budgetMs: situation.budgetMs,
      bandwidthBytesPerSec: this.#bandwidth(rule.action === "switch"),
    };
    this.#note({ atMs: tick.atMs, rule: rule.name, pass: tick.pass, expectedDowntimeMs });
    if (verdict.switches) this.#rule ??= rule.name;
    return verdict;
  }

  /** Pre-copy has ended by something else than a verdict. Without effect after one. */
  ended(rule: string, atMs: number): void {
    if (this.#rule !== null) return;
    this.#rule = rule;
    this.#note({ atMs, rule, pass: this.#pass, expectedDowntimeMs: null });
  }

  /** Post-copy is not to be had: from now on pre-copy goes on as if it had never been. `rule` says why. */
  refused(rule: string, atMs: number): void {
    this.#mayTurn = false;
    this.#note({ atMs, rule, pass: this.#pass, expectedDowntimeMs: null });
  }

  /** For the report; null when nothing was judged. */
  facts(): SwitchoverFacts | null {
    if (this.#decisions.length === 0) return null;
    return { rule: this.#rule, decisions: [...this.#decisions] };
  }

  #beginPass({ remainingBytes, pass }: Tick, expectedDowntimeMs: number | null): void {
    if (pass < 2 || this.#passJudged === pass) return;
    this.#passJudged = pass;
    const laterBytes = this.#throughput.carriedBytes?.later ?? 0;
    const writtenInMs = this.#writtenInMs || 1;
    this.#passes.push({ setBytes: remainingBytes, writtenInMs, expectedDowntimeMs, laterBytes });
    if (this.#passes.length > PASSES_KEPT) this.#passes.shift();
    if (this.#order.rate === null) return;
    const dirtyBytesPerSec = (remainingBytes / (this.#writtenInMs || 1)) * 1000;
    const encodedRatio = this.#throughput.encodedRatio ?? 1;
    this.#choice = rateOfPass(this.#order.rate, { pass, dirtyBytesPerSec, encodedRatio });
  }

  /** The stop itself is copied at the most. */
  #bandwidth(switches: boolean): number | null {
    const { rate } = this.#order;
    if (rate === null) return null;
    return switches ? rate.maxBytesPerSec : (this.#choice?.bytesPerSec ?? rate.minBytesPerSec);
  }

  /**
   * The most that can have been written since QEMU last looked, which `remaining` does not hold. Distinct pages grow
   * with time, but ever slower, since some are written again: so where a pass found S after T, t < T gives S at most,
   * and t > T at most S * t / T.
   */
  #writtenSince({ atMs, pass, ramBytes }: Tick): number {
    if (pass < 2 || this.#passJudged !== pass) return 0;
    const ms = atMs - this.#passAtMs;
    const bounds = this.#passes.map(({ setBytes, writtenInMs }) => setBytes * Math.max(1, ms / writtenInMs));
    return ms <= 0 ? 0 : Math.min(ramBytes, ...bounds);
  }

  /** Of whichever is slower: the link with what is encoded, or the stages before it with what is not. */
  #expected(setBytes: number): number | null {
    const { encodedRatio, linkBytesPerSec, intakeBytesPerSec, last } = this.#throughput;
    if (encodedRatio === null || linkBytesPerSec === null || intakeBytesPerSec === null || last === null)
      return null;
    const linkMs = ((last.backlogBytes + encodedRatio * setBytes) / linkBytesPerSec) * 1000;
    const intakeMs = (setBytes / intakeBytesPerSec) * 1000;
    return Math.round((Math.max(linkMs, intakeMs) + FIXED_DOWNTIME_MS) * 10) / 10;
  }

  #situation(tick: Tick, lastSetBytes: number, expectedDowntimeMs: number | null): Situation {
    const { last } = this.#throughput;
    const [before, now] = this.#passes.slice(-2);
    const budgetMs = this.#budgetMs(tick.atMs);
    return {
      elapsedMs: tick.atMs,
      timeoutMs: this.#order.timeoutMs,
      ...{ pass: tick.pass, lastSetBytes, expectedDowntimeMs },
      backlogBytes: last?.backlogBytes ?? 0,
      atPassStart: {
        nowMs: now?.expectedDowntimeMs ?? null,
        beforeMs: now === undefined ? null : (before?.expectedDowntimeMs ?? null),
      },
      budgetMs,
      notShrinking: this.#notShrinking(),
      streamBytes: last?.streamBytes ?? 0,
      ramBytes: tick.ramBytes,
      stillMs: this.#moved.bytes < 0 ? 0 : tick.atMs - this.#moved.atMs,
      linkUp: tick.linkUp,
      rateExceeded: this.#choice?.exceeded ?? false,
      asInPaper: this.#order.engine === "clark",
      mayTurn: this.#mayTurn,
      outlook: this.#outlook(budgetMs),
    };
  }

  #outlook(budgetMs: number): Outlook | null {
    const { passRatio: ratio, carriedBytes, linkBytesPerSec, intakeBytesPerSec } = this.#throughput;
    const pass = this.#passes.at(-1);
    if (!this.#mayTurn || pass === undefined || carriedBytes === null) return null;
    if (ratio === null || linkBytesPerSec === null || intakeBytesPerSec === null) return null;
    return outlookOf({
      ...{ ...pass, ratio, linkBytesPerSec, intakeBytesPerSec },
      beganAtMs: this.#passAtMs,
      budgetMs: budgetMs - FIXED_DOWNTIME_MS,
      firstPassBytes: carriedBytes.first,
    });
  }

  /** Grows only where the order allows it: up to the timeout, or where there is none, twofold with each pass. */
  #budgetMs(atMs: number): number {
    const { downtimeLimitMs: from, downtimeLimitMaxMs: to, timeoutMs } = this.#order;
    const startMs = this.#firstPassEndedAtMs;
    if (to <= from || startMs === null) return from;
    if (timeoutMs === 0) return Math.min(to, from * 2 ** Math.max(0, this.#doublings - 1));
    const share = timeoutMs <= startMs ? 1 : Math.min(1, (atMs - startMs) / (timeoutMs - startMs));
    return from + (to - from) * share;
  }

  #notShrinking(): boolean {
    if (this.#passes.length < PASSES_KEPT) return false;
    return this.#passes.every(
      ({ setBytes }, i) => i === 0 || setBytes > SAME_SET * this.#passes[i - 1]!.setBytes,
    );
  }

  /** On a change of rule only; of too many the middle goes. */
  #note(decision: Decision): void {
    if (this.#decisions.at(-1)?.rule === decision.rule) return;
    this.#decisions.push({ ...decision, atMs: Math.round(decision.atMs) });
    if (this.#decisions.length > DECISIONS_MAX) this.#decisions.splice(DECISIONS_MAX / 2, 1);
  }
}
