/** The return path at the source relay: a hostile target. Its source QEMU is told what answers something, and nothing else. */
import assert from "node:assert/strict";
import { GodwitError } from "../../src/errors/mod.ts";
import { SourceReturn } from "../../src/relay/sourceReturn.ts";
import {
  Command,
  encodeReturnMessage,
  type RamBlock,
  type ReturnMessage,
  StreamFault,
} from "../../src/stream/mod.ts";
import { splice } from "../mutate.ts";
import type { Random } from "../random.ts";
import { BLOCKS, captures } from "../seeds.ts";
import type { Surface, Verdict } from "../types.ts";

/** As captured streams have them. */
const CAPTURED: readonly RamBlock[] = [{ index: 0, name: "pc.ram", bytes: 32 * 2 ** 20 }, BLOCKS[1]!];

/** What was passed to QEMU, read naively: whole messages that it may be told. */
function check(passed: Buffer, asked: { pings: number[]; bitmaps: string[] }): void {
  const pings = [...asked.pings];
  let last: string | undefined;
  for (let p = 0; p < passed.length; ) {
    const type = passed.readUInt16BE(p);
    const length = passed.readUInt16BE(p + 2);
    const body = passed.subarray(p + 4, p + 4 + length);
    assert.equal(body.length, length, "whole messages");
    p += 4 + length;
    if (type === 1) {
      assert(length === 4 && p === passed.length, "SHUT is last");
    } else if (type === 2) {
      const at = pings.indexOf(body.readUInt32BE(0));
      assert(length === 4 && at >= 0, "a PONG without a PING");
      pings.splice(at, 1);
    } else if (type === 3 || type === 4) {
      if (type === 3) last = body.toString("latin1", 13);
      const block = CAPTURED.find(({ name }) => name === last);
      const from = Number(body.readBigUInt64BE(0));
      const bytes = body.readUInt32BE(8);
      assert(block !== undefined && bytes > 0 && bytes % 4096 === 0 && from % 4096 === 0);
      assert(from + bytes <= block.bytes, "a request outside of its block");
    } else if (type === 5) {
      const block = CAPTURED.find(({ name }) => name === body.toString("latin1", 1));
      assert(block !== undefined && asked.bitmaps.includes(block.name), "a bitmap that nobody asked for");
      const size = Number(passed.readBigUInt64BE(p));
      assert.equal(size, Math.ceil(block.bytes / 4096 / 64) * 8);
      p += 8 + size + 8;
    } else if (type === 6) assert(length === 4 && body.readUInt32BE(0) === 1);
    else assert(type === 7 && length === 0, `message ${type}`);
  }
}

/** The first byte says how far the source has come; then frames: two bytes of length each. */
function run(input: Uint8Array): Verdict {
  const far = (input[0] ?? 0) % 4;
  const passed: Uint8Array[] = [];
  let shuts = 0;
  const back = new SourceReturn(
    {
      toQemu(bytes, written) {
        passed.push(bytes.slice());
        written();
      },
      targetLoaded: () => {
        shuts++;
      },
      packageLoaded: () => undefined,
      pageRequest: () => far === 3,
    },
    far === 2,
  );
  const command = (number: number, payload: Uint8Array = new Uint8Array(0)) =>
    back.said({ type: "command", command: number, name: "", payload });
  const pings = [1, 2, 4];
  if (far > 0) {
    command(Command.openReturnPath);
    for (const value of pings) command(Command.ping, Uint8Array.of(0, 0, 0, value));
    back.setBlocks(CAPTURED);
  }
  if (far > 1) {
    back.said({ type: "package", bytes: 9 });
    back.passed("package");
    command(Command.recvBitmap, Buffer.from("\x03vga"));
  }
  let verdict: Verdict = "accepted";
  let released = 0;
  let given = 0;
  try {
    for (let at = 1; at + 2 <= input.length; ) {
      const end = Math.min(input.length, at + 2 + input[at]! * 256 + input[at + 1]!);
      given++;
      back.frame(input.subarray(at + 2, end), () => {
        released++;
      });
      assert.equal(released, given, "a frame is released once");
      at = end;
    }
  } catch (error) {
    const named = error instanceof GodwitError && error.code === "LINK_FRAME";
    if (!named && !(error instanceof StreamFault)) throw error;
    verdict = "rejected";
  }
  assert(shuts <= 1, "SHUT comes once");
  if (far === 0) assert.equal(passed.length, 0, "nothing is said before the return path is open");
  // A bitmap may be under way.
  const bytes = Buffer.concat(passed);
  const bitmapAt = bytes.indexOf(Buffer.from([0, 5, 0, 4, 3]));
  if (bitmapAt < 0 || far < 2) check(bytes, { pings: far > 1 ? [...pings, 3] : pings, bitmaps: [] });
  return verdict;
}

function framed(far: number, ...frames: Uint8Array[]): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(far),
    ...frames.flatMap((frame) => [Uint8Array.of(frame.length >> 8, frame.length & 0xff), frame]),
  ]);
}

const MESSAGES: readonly ReturnMessage[] = [
  { type: "switchoverAck" },
  { type: "pong", value: 1 },
  { type: "pong", value: 3 },
  { type: "request", block: "pc.ram", offset: 4096, bytes: 4096 },
  { type: "request", block: undefined, offset: 8192, bytes: 4096 },
  { type: "bitmap", block: "vga", bits: new Uint8Array(8) },
  { type: "resumeAck", value: 1 },
  { type: "shut", status: 0 },
];
const ENCODED = MESSAGES.map(encodeReturnMessage);

function mutate(input: Uint8Array, random: Random): Uint8Array {
  const message = random.pick(ENCODED);
  const one = framed(0, message).subarray(1);
  const places = [1];
  for (let at = 1; at + 2 <= input.length; ) {
    at += 2 + input[at]! * 256 + input[at + 1]!;
    places.push(Math.min(at, input.length));
  }
  const out = Uint8Array.from(splice(input, random.pick(places), 0, one));
  if (random.oneIn(4)) out[0] = random.below(4);
  return out;
}

export const returnPath: Surface = {
  name: "returnPath",
  weight: 10,
  seeds: () => [
    ...[0, 1, 2, 3].map((far) => framed(far, ...ENCODED)),
    ...[1, 2, 3].map((far) => framed(far, ...ENCODED.slice(0, 5), ENCODED[7]!)),
    ...captures("return").map((bytes) => framed(2, bytes)),
  ],
  run,
  mutate,
};
