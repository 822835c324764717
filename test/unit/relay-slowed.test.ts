/**
 * Goal: the relay is slowed only when it is told to, by as much as it is told, and says so.
 * Method: the hook with environments handed in. That it lies on the path of pages is seen in test/qemu/bench-homes.test.ts.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { slowedOnPurpose } from "../../src/relay/slowed.ts";

it("a relay is not slowed unless it is told to be", () => {
  assert.equal(slowedOnPurpose({}), undefined);
  assert.equal(slowedOnPurpose({ GODWIT_TEST_SLOW_US: "" }), undefined);
});

it("a slowed relay waits at least so long and says so", () => {
  const slowed = slowedOnPurpose({ GODWIT_TEST_SLOW_US: "2000" });
  assert.match(slowed?.warning ?? "", /SLOWED ON PURPOSE.*2000/);
  const startedMs = performance.now();
  slowed?.spin();
  assert.ok(performance.now() - startedMs >= 2);
});

it("anything but a number of microseconds is refused", () => {
  for (const bad of ["0", "-1", "x", "1.5", "1000001"])
    assert.throws(() => slowedOnPurpose({ GODWIT_TEST_SLOW_US: bad }), { code: "USAGE" }, bad);
});
