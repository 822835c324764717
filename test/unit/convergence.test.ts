/**
 * Goal: pre-copy ends when a stop fits its budget and waiting does not pay, never before, and the reason has a name.
 * Method: a small model of guest, QEMU, relay and link in steps of 5 ms asks the real controller. The guest writes
 * pages of a set at random, so that in t ms it dirties set * (1 - e^(-rate t / set)) of them. Rules are judged alone, too.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Convergence, type ConvergenceOrder } from "../../src/migration/convergence.ts";
import {
  FEW_PAGES,
  judge,
  PASSES_MAX,
  RULES,
  type Situation,
  STILL_MS_MAX,
} from "../../src/migration/convergenceRules.ts";
import { type Outlook, outlookOf } from "../../src/migration/outlook.ts";
import { Throughput } from "../../src/migration/throughput.ts";

const PAGE = 4096;
const STEP_MS = 5;
const FIGURES_EVERY_MS = 100;

interface World {
  readonly ramPages: number;
  readonly setPages: number;
  /** At a moment since the order, ms. */
  readonly writesPerSec: (ms: number) => number;
  readonly linkBytesPerSec: number;
  /** What QEMU and relays can handle, raw. */
  readonly intakeBytesPerSec: number;
  /** What crosses of a page sent the first time, and of one sent again. */
  readonly firstRatio: number;
  readonly againRatio: number;
}

interface Outcome {
  readonly atMs: number;
  readonly rule: string;
  readonly turned: boolean;
  /** What has crossed, in the first pass and in all. */
  readonly firstPassBytes: number;
  readonly wireBytes: number;
  /** What the stop really takes to copy, by the model; after a turn: what post-copy has to bring. */
  readonly copyMs: number;
  readonly expectedMs: number | null;
  /** The caps that were asked for. */
  readonly bandwidths: readonly (number | null)[];
  readonly decisions: readonly { readonly rule: string }[];
}

const QUIET: World = {
  ramPages: 16_384,
  setPages: 4_096,
  writesPerSec: () => 1_000,
  linkBytesPerSec: 12_500_000,
  intakeBytesPerSec: 200e6,
  firstRatio: 1,
  againRatio: 1,
};
const ORDER: ConvergenceOrder = {
  ...{ engine: "auto", downtimeLimitMs: 300, downtimeLimitMaxMs: 0, timeoutMs: 0 },
  ...{ rate: null, mayTurn: false },
};

/** Runs until the controller switches or turns; null when it has not after `limitMs`. */
function run(world: World, order: Partial<ConvergenceOrder> = {}, limitMs = 60_000): Outcome | null {
  const controller = new Convergence({ ...ORDER, ...order });
  const ramBytes = world.ramPages * PAGE;
  let remaining = world.ramPages;
  let written = 0;
  let pass = 1;
  let streamBytes = 0;
  let wireBytes = 0;
  let firstPassBytes = 0;
  const bandwidths: (number | null)[] = [];
  controller.passed(1, 0);
  for (let ms = 0; ms <= limitMs; ms += STEP_MS) {
    if (ms % FIGURES_EVERY_MS === 0)
      controller.relay({ atMs: ms, streamBytes, wireBytes, backlogBytes: 0, deliveredBytesPerSec: null });
    const asks = pass >= 2 || ms % FIGURES_EVERY_MS === 0;
    if (asks) {
      const tick = { atMs: ms, pass, remainingBytes: remaining * PAGE, ramBytes };
      const verdict = controller.tick({ ...tick, linkUp: true });
      bandwidths.push(verdict.bandwidthBytesPerSec);
      if (verdict.switches || verdict.turns) {
        const ratio = pass === 1 ? world.firstRatio : world.againRatio;
        const last = Math.min(world.ramPages, remaining + written);
        return {
          ...{ atMs: ms, rule: verdict.rule, expectedMs: verdict.expectedDowntimeMs },
          ...{ turned: verdict.turns, firstPassBytes, wireBytes },
          copyMs: last * perPageMs(world, ratio),
          bandwidths,
          decisions: controller.facts()?.decisions ?? [],
        };
      }
    }
    const ratio = pass === 1 ? world.firstRatio : world.againRatio;
    const sent = Math.min(remaining, STEP_MS / perPageMs(world, ratio));
    remaining -= sent;
    streamBytes += sent * PAGE;
    wireBytes += sent * PAGE * ratio;
    written +=
      (world.setPages - written) *
      (1 - Math.exp((-world.writesPerSec(ms) * STEP_MS) / 1000 / world.setPages));
    if (remaining < 1) {
      if (pass === 1) firstPassBytes = wireBytes;
      pass++;
      remaining = written;
      written = 0;
      controller.passed(pass, ms + STEP_MS);
    }
  }
  return null;
}

function perPageMs(world: World, ratio: number): number {
  return Math.max((PAGE * ratio) / world.linkBytesPerSec, PAGE / world.intakeBytesPerSec) * 1000;
}

describe("a guest", () => {
  it("that writes less than the link carries is stopped when it is short, not at the first chance", () => {
    const end = run(QUIET);
    assert(end !== null);
    assert(["small", "few-pages"].includes(end.rule), end.rule);
    assert(end.copyMs <= 75, `${end.copyMs} ms`);
    assert(end.decisions.some(({ rule }) => rule === "first-pass"));
  });

  it("that writes more than the link carries as pages, but not as differences, converges", () => {
    const words = { ...QUIET, setPages: 16_384, writesPerSec: () => 12_000 };
    assert.equal(run(words), null, "as pages it never fits");
    const end = run({ ...words, againRatio: 0.02 });
    assert(end !== null && end.copyMs <= 300);
    assert(end.atMs < 10_000);
    const often = { ...QUIET, setPages: 2_000, writesPerSec: () => 80_000 };
    assert.equal(run(often), null);
    assert.notEqual(run({ ...often, againRatio: 0.02 }), null, "what counts is what crosses");
  });

  it("whose last set stays the same although it fits is stopped: waiting gains nothing", () => {
    const end = run({ ...QUIET, setPages: 400, writesPerSec: () => 20_000 });
    assert(end !== null);
    assert.equal(end.rule, "no-gain");
    assert(end.copyMs > 100 && end.copyMs <= 300);
  });

  it("that never fits is never stopped, and the report says so", () => {
    const controller = new Convergence(ORDER);
    assert.equal(controller.facts(), null);
    assert.equal(
      run({ ...QUIET, setPages: 16_384, writesPerSec: () => 20_000 }, { timeoutMs: 60_000 }),
      null,
    );
  });

  it("that pauses between bursts is stopped in a pause", () => {
    const end = run({
      ...QUIET,
      setPages: 16_384,
      writesPerSec: (ms) => (ms % 20_000 < 3_000 ? 20_000 : 100),
    });
    assert(end !== null && end.copyMs <= 300);
    assert(end.atMs % 20_000 >= 3_000, `at ${end.atMs} ms`);
  });

  it("that does not fit at first is stopped when the budget has grown, where that is allowed", () => {
    const busy = { ...QUIET, setPages: 3_000, writesPerSec: () => 60_000 };
    assert.equal(run(busy), null);
    const byTime = run(busy, { downtimeLimitMaxMs: 2_000, timeoutMs: 40_000 });
    assert(byTime !== null && byTime.copyMs > 300 && byTime.copyMs < 2_000);
    const byPass = run(busy, { downtimeLimitMaxMs: 2_000 });
    assert(byPass !== null && byPass.copyMs < 2_000);
  });

  it("is stopped as in the paper by engine clark, whatever the budget", () => {
    const end = run({ ...QUIET, setPages: 16_384, writesPerSec: () => 20_000 }, { engine: "clark" });
    assert(end !== null);
    assert.equal(end.rule, "total-limit");
  });

  it("with a dynamic rate limit gets the least first, then what it writes and more, and is stopped at the most", () => {
    const rate = { minBytesPerSec: 5e6, maxBytesPerSec: 12_500_000, stepBytesPerSec: 6_250_000 };
    const end = run(QUIET, { rate });
    assert.equal(end?.bandwidths[0], 5e6);
    assert.equal(end?.bandwidths.at(-1), 12_500_000);
    assert(end?.bandwidths.some((cap) => cap !== null && cap > 6_250_000 && cap < 12_500_000));
    const busy = { ...QUIET, setPages: 16_384, writesPerSec: () => 5_000 };
    assert.equal(run(busy, { rate, engine: "clark" })?.rule, "rate-at-maximum");
    assert.deepEqual(new Set(run(QUIET)?.bandwidths), new Set([null]));
  });
});

describe("a guest that may be moved by post-copy", () => {
  const HYBRID = { mayTurn: true };
  const HALF = { ...QUIET, firstRatio: 0.5 };

  it("is stopped as in pre-copy where it converges, and by the same rule", () => {
    const words = { ...HALF, setPages: 16_384, writesPerSec: () => 12_000, againRatio: 0.02 };
    for (const world of [HALF, words]) {
      const end = run(world, HYBRID);
      assert(end !== null && !end.turned, `${end?.rule}`);
      assert.equal(end.rule, run(world)?.rule);
    }
  });

  it("is turned soon after the first pass where it writes faster than the link carries", () => {
    const all = { ...HALF, setPages: 16_384, writesPerSec: () => 20_000 };
    const faster = run(all, HYBRID);
    assert.equal(faster?.rule, "post-copy-dirty-rate");
    assert(faster.wireBytes < 1.2 * faster.firstPassBytes, "one pass, and a look at the second");
    // Its pages cost the link nothing, but each has to be handled all the same.
    const handled = { ...all, firstRatio: 0.01, againRatio: 0.01, intakeBytesPerSec: 20e6 };
    assert.equal(run(handled, HYBRID)?.rule, "post-copy-no-progress");
  });

  it("is turned after the first pass where memory crosses as it is, and more would be too much in all", () => {
    const end = run(QUIET, HYBRID);
    assert.equal(end?.rule, "post-copy-bytes");
    assert(end.wireBytes + end.copyMs * (QUIET.linkBytesPerSec / 1000) < 1.25 * QUIET.ramPages * PAGE);
  });

  it("is turned in time for the timeout", () => {
    const end = run(HALF, { ...HYBRID, timeoutMs: 3_800 });
    assert.equal(end?.rule, "post-copy-time");
    assert(end.atMs + end.copyMs <= 3_800, `${end.atMs} ms + ${end.copyMs} ms`);
    assert.equal(run(HALF, HYBRID)?.turned, false, "without one it is stopped");
  });

  it("is moved as in pre-copy once a turn was refused", () => {
    const controller = new Convergence({ ...ORDER, ...HYBRID });
    const tick = { ramBytes: 1e9, remainingBytes: 5e8, linkUp: true };
    const ask = (pass: number, atMs: number) => {
      const bytes = atMs * 1e5;
      const carried = { streamBytes: bytes, wireBytes: bytes, backlogBytes: 0, deliveredBytesPerSec: 1e8 };
      controller.relay({ ...carried, atMs });
      return controller.tick({ ...tick, pass, atMs });
    };
    ask(1, 0);
    ask(1, 10_000);
    ask(2, 10_001);
    ask(2, 10_200);
    assert.equal(ask(2, 10_400).turns, true);
    controller.refused("post-copy-refused", 10_401);
    assert.deepEqual([ask(2, 10_500).rule, controller.over], ["over-budget", false]);
  });
});

describe("in any world", () => {
  const worlds = fc.record({
    ramPages: fc.integer({ min: 2_000, max: 40_000 }),
    share: fc.double({ min: 0.01, max: 1, noNaN: true }),
    writesPerSec: fc.integer({ min: 0, max: 30_000 }),
    linkBytesPerSec: fc.integer({ min: 2_000_000, max: 125_000_000 }),
    againRatio: fc.double({ min: 0.01, max: 1, noNaN: true }),
  });
  const made = ({
    share,
    writesPerSec,
    ...rest
  }: typeof worlds extends fc.Arbitrary<infer T> ? T : never): World => ({
    ...{ ...QUIET, ...rest },
    setPages: Math.ceil(rest.ramPages * share),
    writesPerSec: () => writesPerSec,
  });

  it("the stop is as short as the budget, unless the rule may exceed it", () => {
    fc.assert(
      fc.property(worlds, (params) => {
        const end = run(made(params), {}, 20_000);
        if (end === null) return;
        const rule = RULES.find(({ name }) => name === end.rule);
        if (rule?.mayExceed) return;
        // What the guest wrote since QEMU looked is an estimate.
        assert(end.copyMs <= 1.3 * ORDER.downtimeLimitMs, `${end.rule}: ${end.copyMs} ms`);
      }),
      { numRuns: 60 },
    );
  });

  it("a guest that writes half of what crosses is always moved", () => {
    fc.assert(
      fc.property(worlds, (params) => {
        const world = made(params);
        const carried = 1000 / perPageMs(world, Math.max(world.firstRatio, world.againRatio));
        assert.notEqual(run({ ...world, writesPerSec: () => carried / 2 }, {}, 300_000), null);
      }),
      { numRuns: 40 },
    );
  });

  it("hybrid ends, with half as much carried again as in the first pass at most", () => {
    fc.assert(
      fc.property(worlds, (params) => {
        const world = made(params);
        const end = run(world, { mayTurn: true }, 300_000);
        assert(end !== null);
        // Beyond: what crosses until the second pass has been looked at.
        const lookedAt = 0.5 * world.linkBytesPerSec;
        assert(end.wireBytes <= 1.5 * end.firstPassBytes + lookedAt, `${end.rule}: ${end.wireBytes}`);
        if (!end.turned) assert(end.copyMs <= 1.3 * ORDER.downtimeLimitMs || end.rule === "few-pages");
      }),
      { numRuns: 60 },
    );
  });

  it("a larger budget never ends it later", () => {
    fc.assert(
      fc.property(
        worlds,
        fc.integer({ min: 50, max: 1_000 }),
        fc.integer({ min: 0, max: 1_000 }),
        (params, ms, more) => {
          const world = made(params);
          const strict = run(world, { downtimeLimitMs: ms }, 15_000);
          const generous = run(world, { downtimeLimitMs: ms + more }, 15_000);
          if (strict !== null) assert((generous?.atMs ?? Number.POSITIVE_INFINITY) <= strict.atMs);
        },
      ),
      { numRuns: 40 },
    );
  });
});

const CALM: Situation = {
  elapsedMs: 1_000,
  timeoutMs: 0,
  pass: 3,
  lastSetBytes: 10e6,
  backlogBytes: 0,
  expectedDowntimeMs: 200,
  atPassStart: { nowMs: 200, beforeMs: 400 },
  budgetMs: 300,
  notShrinking: false,
  streamBytes: 1e9,
  ramBytes: 1e9,
  stillMs: 0,
  linkUp: true,
  rateExceeded: false,
  asInPaper: false,
  mayTurn: false,
  outlook: null,
};

/** One more pass pays: it takes 2 s, and leaves a fifth. */
const PAYS: Outlook = {
  ...{ fits: false, share: 0.2, passesBytes: 100e6, firstPassBytes: 400e6 },
  ...{ wholeBytes: 600e6, wholeMs: 14_000 },
};
const OVER = { expectedDowntimeMs: 2_000, mayTurn: true, outlook: PAYS };
const outlook = (change: Partial<Outlook>) => ({ ...OVER, outlook: { ...PAYS, ...change } });

describe("rules", () => {
  const cases: readonly [string, Partial<Situation>][] = [
    ["shrinking", {}],
    ["first-pass", { pass: 1 }],
    ["stalled", { stillMs: STILL_MS_MAX }],
    ["shrinking", { stillMs: STILL_MS_MAX, linkUp: false }],
    ["few-pages", { lastSetBytes: FEW_PAGES * PAGE, expectedDowntimeMs: 900 }],
    ["over-budget", { expectedDowntimeMs: 301 }],
    ["not-converging", { expectedDowntimeMs: 301, notShrinking: true }],
    ["unmeasured", { expectedDowntimeMs: null }],
    ["small", { expectedDowntimeMs: 75 }],
    ["small", { expectedDowntimeMs: 60, budgetMs: 61 }],
    ["no-gain", { atPassStart: { nowMs: 200, beforeMs: 250 } }],
    ["shrinking", { atPassStart: { nowMs: 200, beforeMs: 300 } }],
    ["enough-passes", { pass: PASSES_MAX + 1 }],
    ["enough-sent", { streamBytes: 3.1e9 }],
    ["time-nearly-up", { timeoutMs: 1_100 }],
    ["rate-at-maximum", { asInPaper: true, rateExceeded: true, expectedDowntimeMs: 5_000 }],
    ["shrinking", { rateExceeded: true }],
    ["pass-limit", { asInPaper: true, pass: PASSES_MAX + 1, expectedDowntimeMs: 5_000 }],
    ["total-limit", { asInPaper: true, streamBytes: 3.1e9, expectedDowntimeMs: 5_000 }],
    ["over-budget", OVER],
    ["first-pass", { ...outlook({ share: 2 }), pass: 1 }],
    ["sampling", { ...OVER, outlook: null }],
    ["unmeasured", { ...OVER, expectedDowntimeMs: null }],
    ["over-budget", { ...outlook({ share: 2 }), mayTurn: false, outlook: null }],
    ["post-copy-dirty-rate", outlook({ share: 1 })],
    ["post-copy-no-progress", outlook({ share: 0.86 })],
    ["post-copy-bytes", outlook({ passesBytes: 201e6 })],
    ["post-copy-bytes", outlook({ wholeBytes: 1.21e9 })],
    ["over-budget", outlook({ share: 0.85, passesBytes: 200e6, wholeBytes: 1.2e9 })],
    ["over-budget", outlook({ fits: true, share: 2 })],
    ["over-budget", { ...outlook({ share: 2 }), linkUp: false }],
    ["shrinking", { ...outlook({ share: 2 }), expectedDowntimeMs: 200 }],
    ["post-copy-time", { ...OVER, timeoutMs: 13_999 }],
    ["over-budget", { ...OVER, timeoutMs: 14_000 }],
    ["post-copy-time", { ...OVER, outlook: null, expectedDowntimeMs: null, timeoutMs: 1_100 }],
    ["over-budget", { ...OVER, mayTurn: false, timeoutMs: 1_100 }],
  ];
  for (const [name, change] of cases)
    it(`${name}: ${JSON.stringify(change)}`, () => assert.equal(judge({ ...CALM, ...change }).name, name));

  it("each decide some case, have a name of their own, and say why", () => {
    const names = RULES.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(
      names.filter((name) => !cases.some(([of]) => of === name)),
      [],
    );
    for (const { because } of RULES) assert(because.length > 10);
  });

  it("are all in docs/convergence.md, in their order", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/convergence.md"), "utf8");
    const rows = RULES.map(({ name, action, mayExceed, because }) => {
      return `| \`${name}\` | ${action}${mayExceed ? ", also above the limit" : ""} | ${because} |`;
    });
    assert(text.includes(`\n${rows.join("\n")}\n`));
  });

  it("end nothing above the budget that may not, whatever the situation", () => {
    const situations = fc.record({
      elapsedMs: fc.nat(100_000),
      timeoutMs: fc.nat(100_000),
      pass: fc.integer({ min: 1, max: 40 }),
      lastSetBytes: fc.nat(),
      backlogBytes: fc.nat(),
      expectedDowntimeMs: fc.option(fc.nat(2_000)),
      atPassStart: fc.record({ nowMs: fc.option(fc.nat(2_000)), beforeMs: fc.option(fc.nat(2_000)) }),
      budgetMs: fc.integer({ min: 1, max: 2_000 }),
      notShrinking: fc.boolean(),
      streamBytes: fc.nat(),
      ramBytes: fc.nat(),
      stillMs: fc.nat(10_000),
      linkUp: fc.boolean(),
      rateExceeded: fc.boolean(),
      asInPaper: fc.boolean(),
      mayTurn: fc.boolean(),
      outlook: fc.option(
        fc.record({
          fits: fc.boolean(),
          share: fc.double({ min: 0, max: 2, noNaN: true }),
          passesBytes: fc.nat(),
          firstPassBytes: fc.nat(),
          wholeBytes: fc.nat(),
          wholeMs: fc.nat(100_000),
        }),
      ),
    });
    fc.assert(
      fc.property(situations, fc.nat(1_000), (situation, more) => {
        const rule = judge(situation);
        if (rule.action === "hold") return;
        if (rule.action === "turn") {
          const { mayTurn, linkUp, expectedDowntimeMs } = situation;
          assert(mayTurn && linkUp, "only where post-copy is to be had");
          assert(expectedDowntimeMs === null || expectedDowntimeMs > situation.budgetMs, "a stop that fits");
          return;
        }
        if (!rule.mayExceed)
          assert(situation.expectedDowntimeMs !== null && situation.expectedDowntimeMs <= situation.budgetMs);
        assert.equal(judge({ ...situation, budgetMs: situation.budgetMs + more }).action, "switch");
      }),
    );
  });
});

describe("the outlook", () => {
  const pass = {
    ...{ beganAtMs: 10_000, setBytes: 20e6, writtenInMs: 8_000, ratio: 1, budgetMs: 250 },
    ...{ linkBytesPerSec: 10e6, intakeBytesPerSec: 1e9, firstPassBytes: 80e6, laterBytes: 0 },
  };

  it("is of passes that get shorter in proportion, until one fits", () => {
    const found = outlookOf(pass);
    assert.deepEqual([found.fits, found.share, found.wholeMs], [false, 0.25, 14_000]);
    assert.equal(found.wholeBytes, 120e6);
    // 20 MB, then 5 MB; 1.25 MB take 125 ms. The series ends where 250 ms are left, between the two.
    assert(found.passesBytes > 20e6 && found.passesBytes < 25e6);
  });

  it("counts what crosses, and what takes longer", () => {
    assert.equal(outlookOf({ ...pass, ratio: 0.1 }).fits, true);
    assert.equal(outlookOf({ ...pass, ratio: 0.01, intakeBytesPerSec: 10e6 }).share, 0.25);
    assert.equal(outlookOf({ ...pass, ratio: 0.01, intakeBytesPerSec: 10e6 }).wholeBytes, 80.4e6);
  });

  it("is without hope where the next pass finds as much, and without doubt where nothing is left", () => {
    assert.equal(outlookOf({ ...pass, writtenInMs: 2_000 }).passesBytes, Number.POSITIVE_INFINITY);
    for (const budgetMs of [250, -45]) {
      const { share, passesBytes } = outlookOf({ ...pass, budgetMs, setBytes: 0, laterBytes: 7 });
      assert.deepEqual([share, passesBytes], [0, 7]);
    }
  });
});

describe("decisions", () => {
  it("are kept when the rule changes, and not without end", () => {
    const controller = new Convergence(ORDER);
    const tick = { ramBytes: 1e9, remainingBytes: 1e9, pass: 2 };
    for (let i = 0; i < 400; i++) {
      controller.relay({
        atMs: 6_000 * i,
        streamBytes: i,
        wireBytes: i,
        backlogBytes: 0,
        deliveredBytesPerSec: null,
      });
      for (const linkUp of [true, false]) controller.tick({ ...tick, atMs: 6_000 * i + 5_500, linkUp });
      controller.tick({ ...tick, atMs: 6_000 * i + 5_600, linkUp: false });
    }
    const facts = controller.facts();
    assert.equal(facts?.decisions.length, 50);
    assert.equal(facts?.rule, null);
    const names = facts?.decisions.map(({ rule }) => rule) ?? [];
    assert(names.every((rule, i) => rule !== names[i - 1]));
  });

  it("name what ended pre-copy when it was not the controller", () => {
    const controller = new Convergence(ORDER);
    controller.ended("nothing-left", 500);
    controller.ended("time-limit", 600);
    assert.equal(controller.facts()?.rule, "nothing-left");
    assert(controller.over);
  });
});

describe("throughput", () => {
  it("takes the gain of the encodings from versions that were sent again, once there are enough", () => {
    const path = new Throughput();
    const at = (ms: number, streamBytes: number, wireBytes: number, backlogBytes = 0) =>
      path.add({ atMs: ms, streamBytes, wireBytes, backlogBytes, deliveredBytesPerSec: null });
    assert.equal(path.encodedRatio, null);
    at(0, 0, 0);
    at(1_000, 100e6, 50e6);
    assert.equal(path.encodedRatio, 0.5);
    path.passBegun();
    at(1_250, 120e6, 60e6);
    at(1_500, 120.1e6, 60e6);
    assert.equal(path.encodedRatio, 0.5, "a few pages tell nothing");
    at(1_750, 140e6, 60e6, 1e6);
    assert(Math.abs(path.encodedRatio! - 0.05) < 0.001, "what waits here has yet to cross");
    assert.equal(path.intakeBytesPerSec, 100e6);
  });

  it("has a steadier gain for passes, and knows what they carried", () => {
    const path = new Throughput();
    const at = (ms: number, streamBytes: number, wireBytes: number) =>
      path.add({ atMs: ms, streamBytes, wireBytes, backlogBytes: 0, deliveredBytesPerSec: null });
    at(0, 0, 0);
    at(1_000, 100e6, 50e6);
    assert.deepEqual([path.passRatio, path.carriedBytes], [null, null]);
    path.passBegun();
    at(1_100, 100e6, 50e6);
    assert.deepEqual(path.carriedBytes, { first: 50e6, later: 0 });
    at(1_200, 110e6, 51e6);
    assert.equal(path.passRatio, null, "100 ms tell nothing");
    at(1_300, 120e6, 52e6);
    assert.equal(path.passRatio, 0.1);
    path.passBegun();
    at(1_400, 120e6, 52e6);
    at(1_500, 120.1e6, 52.1e6);
    assert(Math.abs(path.passRatio! - 0.1) < 0.01, "of the pass before, while this one has hardly begun");
    at(1_700, 130e6, 57e6);
    assert.equal(path.passRatio, 0.5);
    assert.deepEqual(path.carriedBytes, { first: 50e6, later: 7e6 });
  });

  it("believes the relay about the link, and forgets what is old", () => {
    const path = new Throughput();
    const at = (ms: number, deliveredBytesPerSec: number | null) =>
      path.add({
        atMs: ms,
        streamBytes: ms * 1_000,
        wireBytes: ms * 1_000,
        backlogBytes: 0,
        deliveredBytesPerSec,
      });
    at(0, null);
    at(1_000, null);
    assert.equal(path.linkBytesPerSec, 1e6);
    at(2_000, 9e6);
    at(3_000, 2e6);
    assert.equal(path.linkBytesPerSec, 9e6);
    at(5_500, 2e6);
    assert.equal(path.linkBytesPerSec, 2e6);
  });
});
