/**
 * Goal: of the matrix of faults (`npm run faults`, docs/faults.md) a few cases keep their promise on every commit.
 * Method: the cases that are marked for it, as the matrix runs them: agents in processes of their own, a real guest that
 * judges its memory, one fault each, and then one more migration of the same guest.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CASES } from "../../lab/faults/list.ts";
import { broken } from "../../lab/faults/promise.ts";
import { artefacts } from "../../lab/setup/mod.ts";

const LIMIT = { timeout: 240_000 };
const qemu = artefacts().qemus.at(-1)!;
const slice = CASES.filter((one) => one.slice === true);

after(async () => {
  for (const one of slice) await one.end?.();
});

for (const one of slice)
  test(one.name, LIMIT, async ({ signal }) => {
    const seen = await one.run(qemu, signal);
    assert.deepEqual(broken(one.promise ?? "survives", seen), [], JSON.stringify(seen));
  });
