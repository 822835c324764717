/**
 * Goal: the return path is told message by message, with exactly the bytes to pass on or to withhold.
 * Method: a golden recording with every message, read in any two pieces and byte by byte, and written again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeReturnMessage, type ReturnMessage, ReturnPathReader } from "../../src/stream/mod.ts";
import { feed, vector } from "../tools/stream.ts";

const BLOCKS = [{ index: 0, name: "a", bytes: 0x3000 }];
const golden = vector("stream-return-path");

function read(cuts: Iterable<number>) {
  const messages: { message: ReturnMessage; bytes: number }[] = [];
  const passed: Uint8Array[] = [];
  const reader = new ReturnPathReader(
    {
      message(message, buffer, start, end) {
        messages.push({ message, bytes: end - start });
        passed.push(Uint8Array.from(buffer.subarray(start, end)));
      },
      bytes: (buffer, start, end) => passed.push(Uint8Array.from(buffer.subarray(start, end))),
    },
    { blocks: BLOCKS },
  );
  const consumed = feed(reader, golden, cuts);
  return { messages, passed: Buffer.concat(passed), consumed, lastBlock: reader.lastBlock };
}

test("every message is told with its values and its own bytes; a bitmap's bytes pass before it", () => {
  const { messages, passed, consumed, lastBlock } = read([]);
  assert.deepEqual(messages, [
    { message: { type: "switchoverAck" }, bytes: 4 },
    { message: { type: "pong", value: 1 }, bytes: 8 },
    { message: { type: "request", block: "a", offset: 0x2000, bytes: 4096 }, bytes: 18 },
    { message: { type: "request", block: undefined, offset: 0x1000, bytes: 4096 }, bytes: 16 },
    { message: { type: "bitmap", block: "a", bits: Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0) }, bytes: 0 },
    { message: { type: "resumeAck", value: 1 }, bytes: 8 },
    { message: { type: "shut", status: 0 }, bytes: 8 },
  ]);
  assert.deepEqual(passed, golden);
  assert.equal(consumed, golden.length);
  assert.equal(lastBlock, "a");
});

test("any two pieces, and single bytes, tell the same", () => {
  const whole = read([]);
  for (let cut = 0; cut <= golden.length; cut++) assert.deepEqual(read([cut]), whole);
  assert.deepEqual(read(golden.keys()), whole);
});

test("messages written again give the same bytes", () => {
  const written = read([]).messages.map(({ message }) => encodeReturnMessage(message));
  assert.deepEqual(Buffer.concat(written), golden);
});
