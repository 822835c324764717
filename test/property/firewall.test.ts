/**
 * Goal: a target QEMU is given nothing that its peer's stream may not have in it, and of what is refused not one byte; no
 * input crashes a door, hangs it, or makes it keep memory.
 * Method: the fuzzer (fuzz/), a slice of what `npm run fuzz` does. What QEMU would meet is judged by a reader written apart
 * from the product's (fuzz/judge.ts), and it is shown that this one sees what it is there for. Whatever the fuzzer once found
 * is given in again (test/vectors/fuzz).
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mutatedElements, TEMPTING } from "../../fuzz/elements.ts";
import { digest, framesOf, joined } from "../../fuzz/frames.ts";
import { Forbidden, judge } from "../../fuzz/judge.ts";
import { Random } from "../../fuzz/random.ts";
import { run } from "../../fuzz/run.ts";
import { announcement, devices, RAM_ID, smallStreams } from "../../fuzz/seeds.ts";
import { SURFACES, surfaceOf } from "../../fuzz/surfaces/mod.ts";
import { concat, emptyEnd, StreamFault, StreamReader } from "../../src/stream/mod.ts";
import { DataKind } from "../../src/wire/mod.ts";

const FOUND = join(import.meta.dirname, "../vectors/fuzz");
const FIREWALL = { ramBytesMax: 2 ** 30, deviceBytesMax: 2 ** 17, passUnchecked: false };
const LIMIT = { timeout: 120_000 };
/** For all surfaces together. */
const INPUTS = 5000;
const WEIGHTS = SURFACES.reduce((sum, { weight }) => sum + weight, 0);

for (const surface of SURFACES) {
  test(`${surface.name}: changed inputs are taken or refused by name`, LIMIT, () => {
    const inputs = Math.ceil((INPUTS * surface.weight) / WEIGHTS);
    const { findings, accepted, rejected } = run(surface, { inputs, seed: 1, guided: 0 });
    assert.deepEqual(
      findings.map(({ what }) => what),
      [],
    );
    assert.ok(accepted > 0 && rejected > 0, `${accepted} accepted, ${rejected} rejected`);
  });
}

test("coverage guides: what runs something new is kept", LIMIT, () => {
  const { blocks, corpus } = run(surfaceOf("returnPath"), { inputs: 200, seed: 1, guided: 1 });
  assert.ok(blocks > 50, `${blocks} blocks`);
  assert.ok(corpus > surfaceOf("returnPath").seeds().length, "the corpus has grown");
});

for (const name of readdirSync(FOUND)) {
  test(`found once: ${name}`, () => {
    surfaceOf(name.slice(0, name.indexOf("-"))).run(Uint8Array.from(readFileSync(join(FOUND, name))));
  });
}

/** What a reader tells as bytes, and where it stopped. */
function passed(bytes: Uint8Array, firewall: boolean): { given: Uint8Array; fault: StreamFault | undefined } {
  const given: Uint8Array[] = [];
  const reader = new StreamReader(
    {
      bytes: (buffer, start, end) => given.push(buffer.slice(start, end)),
      page: () => undefined,
      records: () => undefined,
      barrier: () => undefined,
    },
    firewall ? { firewall: FIREWALL } : {},
  );
  try {
    reader.push(bytes, 0, bytes.length);
  } catch (error) {
    if (!(error instanceof StreamFault)) throw error;
    return { given: concat(given), fault: error };
  }
  return { given: concat(given), fault: undefined };
}

test("behind any device section: what must not come there is refused, and passed is what comes before its footer", () => {
  const before = concat([announcement(false), emptyEnd(RAM_ID)]);
  const tail = devices();
  const footers = [5, 0x7e7e7e7e].map((id) => {
    const footer = Buffer.alloc(5, 0x7e);
    footer.writeUInt32BE(id, 1);
    return Buffer.from(tail).lastIndexOf(footer);
  });
  let refused = 0;
  for (const at of footers) {
    for (const bad of TEMPTING) {
      // An EOF and a section more are no offence here.
      if ([0x00, 0x04, 0x7e].includes(bad[0]!)) continue;
      const bytes = concat([before, tail.subarray(0, at + 5), bad, tail.subarray(at + 5)]);
      const { given, fault } = passed(bytes, true);
      assert.equal(fault?.rule, "element_in_devices", Buffer.from(bad).toString("hex"));
      assert.deepEqual(given, bytes.slice(0, before.length + at));
      assert.equal(fault.atByte, before.length + at);
      refused++;
    }
  }
  assert.ok(refused >= 10);
});

test("the judge sees what a reader without a firewall lets through", () => {
  const random = new Random(7);
  const seen = new Set<string>();
  for (let i = 0; i < 1200; i++) {
    const { given } = passed(mutatedElements(random.pick(smallStreams()), random), false);
    try {
      judge(given, { ...FIREWALL, pagesOnce: false });
    } catch (error) {
      if (!(error instanceof Forbidden)) throw error;
      seen.add(error.message.replace(/.*given: /, ""));
    }
  }
  assert.ok(seen.has("a command behind a device"), [...seen].join("; "));
  assert.ok(seen.size >= 4, [...seen].join("; "));
});

test("devices that come without an end of the memory wait for a digest, whatever way its pages came", () => {
  const snapshot = framesOf(smallStreams()[3]!);
  const { run: give } = surfaceOf("target");
  assert.equal(give(joined(snapshot)), "accepted");
  const without = snapshot.filter(({ kind }) => kind !== DataKind.digest);
  assert.equal(give(joined(without)), "rejected");
  const late = [...without, digest("devices")];
  assert.equal(give(joined(late)), "rejected");
});
