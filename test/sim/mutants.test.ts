/**
 * Goal: the simulation finds bugs of the kinds that matter: an acknowledgement that is lost, a guest that is resumed twice, a
 * held page that is forgotten, and some more. Each in under 200 seeds.
 * Method: each is put in on purpose around the real code (sim/mutants.ts), and seeds are run until one breaks a rule.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { install } from "../../sim/engine/install.ts";

install();
const { MUTANTS, mutate } = await import("../../sim/mutants.ts");
const { runSeed } = await import("../../sim/run.ts");
const SEEDS_MAX = 200;

for (const name of MUTANTS) {
  test(`found: ${name}`, async (t) => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const restore = mutate(name);
      const { broken, detail } = await runSeed(seed).finally(restore);
      if (broken === null) continue;
      t.diagnostic(`seed ${seed}: ${detail}`);
      return;
    }
    assert.fail(`not found in ${SEEDS_MAX} seeds`);
  });
}
