/**
 * Goal: however a stream is cut into pieces the reader tells the same; what it tells can be written back; damage never
 * crashes it, hangs it, or gets a page outside its block.
 * Method: generated streams of every mode with pages of every kind (test/tools/arbitrary-stream.ts); the Recorder
 * checks bounds and context at every call.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  CARRY_BYTES_MAX,
  concat,
  explicitFirst,
  PageKind,
  type RamBlock,
  RamRecordReader,
  ReturnPathReader,
  StreamFault,
  type StreamHandler,
  StreamReader,
} from "../../src/stream/mod.ts";
import { anyStream } from "../tools/arbitrary-stream.ts";
import { feed, Recorder, readAll, rewrite, vector } from "../tools/stream.ts";

const cutsOf = (weights: readonly number[], length: number) =>
  weights.map((weight) => Math.floor(weight * length)).sort((x, y) => x - y);
const weights = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });
const told = ({ recorder, fault }: ReturnType<typeof readAll>) => ({
  log: recorder.done(),
  fault: fault && { rule: fault.rule, atByte: fault.atByte },
});

test("any chunking tells the same, and everything is told", () => {
  fc.assert(
    fc.property(anyStream, weights, ({ bytes, pages }, where) => {
      const whole = readAll(bytes);
      assert.equal(whole.fault, undefined);
      assert.equal(whole.recorder.pages.length, pages);
      assert.deepEqual(told(readAll(bytes, cutsOf(where, bytes.length))), told(whole));
    }),
    { numRuns: 200 },
  );
});

test("single bytes tell the same", () => {
  for (const name of ["stream-precopy", "stream-postcopy"]) {
    const bytes = vector(name);
    assert.deepEqual(told(readAll(bytes, bytes.keys())), told(readAll(bytes)), name);
  }
});

test("what is told, written again, gives the same bytes", () => {
  fc.assert(
    fc.property(anyStream, ({ bytes }) => assert.deepEqual(rewrite(bytes), Buffer.from(bytes))),
    { numRuns: 200 },
  );
});

test("every byte of the records is in a run: PART framing is all that is dropped", () => {
  fc.assert(
    fc.property(anyStream, ({ bytes }) => {
      const runs = readAll(bytes).recorder;
      runs.done();
      const sum = (log: readonly unknown[]) =>
        log.reduce<number>((total, entry) => total + ((entry as { length?: number }).length ?? 0), 0);
      const parts = runs.elements().filter(({ type }) => type === "sectionPart").length;
      assert.equal(sum(runs.log), bytes.length - 18 * parts);
    }),
    { numRuns: 100 },
  );
});

test("a stream with flipped bits is read or refused by name, the same for any chunking", () => {
  const flips = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(7)), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(anyStream, flips, weights, ({ bytes }, where, cuts) => {
      const damaged = Uint8Array.from(bytes);
      for (const [weight, bit] of where) {
        const at = Math.min(bytes.length - 1, Math.floor(weight * bytes.length));
        damaged[at] = damaged[at]! ^ (1 << bit);
      }
      assert.deepEqual(told(readAll(damaged, cutsOf(cuts, damaged.length))), told(readAll(damaged)));
    }),
    { numRuns: 500 },
  );
});

test("each single flipped bit of the golden streams' structure is read or refused by name", () => {
  for (const name of ["stream-precopy", "stream-postcopy"]) {
    const bytes = vector(name);
    for (let at = 0; at < bytes.length; at++) {
      const inPage = at >= 16 && bytes.subarray(at - 16, at + 16).every((byte) => byte === bytes[at]);
      for (let bit = 0; bit < (inPage ? 0 : 8); bit++) {
        bytes[at] = bytes[at]! ^ (1 << bit);
        readAll(bytes).recorder.done();
        bytes[at] = bytes[at]! ^ (1 << bit);
      }
    }
  }
});

test("random bytes behind a good beginning are read or refused, and the carry stays bounded", () => {
  const precopy = vector("stream-precopy");
  const beginnings = [0, 8, 55, 69, 86, 122, 127, 132].map((at) => precopy.subarray(0, at));
  fc.assert(
    fc.property(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 300 }), (good, noise) => {
      const bytes = concat([good, noise]);
      const reader = new StreamReader(new Recorder());
      let p = 0;
      try {
        for (let end = 0; end <= bytes.length; end += 7) {
          p = reader.push(bytes, p, end);
          assert.ok(p <= end && end - p <= CARRY_BYTES_MAX);
          assert.equal(reader.consumedBytes, p);
        }
      } catch (error) {
        assert.ok(error instanceof StreamFault, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("runs cut anywhere, each sent alone with its context, give the target the same pages", () => {
  fc.assert(
    fc.property(anyStream, weights, ({ bytes, blocks }, where) => {
      const all = readAll(bytes).recorder;
      const atTarget = new Recorder();
      const target = new RamRecordReader(blocks, atTarget);
      const handler: StreamHandler = {
        bytes() {},
        page() {},
        barrier() {},
        records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined) {
          const head = explicitFirst(buffer, start, context, undefined);
          const run = concat([
            head ?? new Uint8Array(0),
            buffer.subarray(head === undefined ? start : start + 8, end),
          ]);
          target.push(run, 0, run.length, undefined);
        },
      };
      feed(new StreamReader(handler), bytes, cutsOf(where, bytes.length));
      assert.deepEqual(atTarget.pages, all.pages);
    }),
    { numRuns: 100 },
  );
});

test("kinds of pages all occur in what is generated", () => {
  const counts = fc
    .sample(anyStream, { numRuns: 50, seed: 1 })
    .map(({ bytes }) => readAll(bytes).recorder.counts);
  for (const name of Object.keys(PageKind) as (keyof typeof PageKind)[]) {
    assert.ok(
      counts.some((count) => count[name] > 0),
      name,
    );
  }
});

test("a damaged return path is read or refused by name, the same for any chunking", () => {
  const golden = vector("stream-return-path");
  const read = (bytes: Uint8Array, cuts: readonly number[]) => {
    const messages: unknown[] = [];
    const reader = new ReturnPathReader({ message: (message) => messages.push(message), bytes() {} });
    try {
      feed(reader, bytes, cuts);
      return { messages };
    } catch (error) {
      if (!(error instanceof StreamFault)) throw error;
      return { messages, rule: error.rule, atByte: error.atByte };
    }
  };
  fc.assert(
    fc.property(fc.nat(golden.length - 1), fc.nat(7), weights, (at, bit, cuts) => {
      const damaged = Uint8Array.from(golden);
      damaged[at] = damaged[at]! ^ (1 << bit);
      assert.deepEqual(read(damaged, cutsOf(cuts, damaged.length)), read(damaged, []));
    }),
    { numRuns: 500 },
  );
});
