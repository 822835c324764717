/** Bytes of the link: frames in any pieces, every payload, and a session that takes what comes. */
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { GodwitError } from "../../src/errors/mod.ts";
import { Arena } from "../../src/link/arena.ts";
import type { Connection, ConnectionHandler } from "../../src/link/connection.ts";
import { Endpoint } from "../../src/link/endpoint.ts";
import { decodeGreeting, decodeSummary, decodeTargetGreeting } from "../../src/relay/greeting.ts";
import {
  DataKind,
  decodeAgain,
  decodeFault,
  decodeHello,
  decodePagesPrefix,
  decodeProof,
  decodeRecordsPrefix,
  decodeResume,
  decodeResumed,
  decodeWelcome,
  encodeFault,
  encodeFrame,
  encodeHeader,
  encodeHello,
  encodeProof,
  encodeResume,
  encodeResumed,
  encodeWelcome,
  type FrameKind,
  FrameParser,
  HEADER_BYTES,
  isChecked,
  PAYLOAD_BYTES_MAX,
  SessionKind,
} from "../../src/wire/mod.ts";
import { splice } from "../mutate.ts";
import { hashOf, Random } from "../random.ts";
import type { Surface, Verdict } from "../types.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

/** Frames found in `bytes`, cut as `cut` says. */
function parsed(
  bytes: Uint8Array,
  cut: (at: number) => number,
): { found: string[]; fault: string | undefined } {
  const parser = new FrameParser(crc32);
  const found: string[] = [];
  let at = 0;
  for (let end = 0; end < bytes.length; ) {
    end = Math.min(bytes.length, cut(end));
    for (;;) {
      const next = parser.next(bytes, at, end);
      if (next === "more") break;
      if (next !== "frame") return { found, fault: next };
      assert(parser.payloadEnd <= end && parser.payloadEnd - parser.payloadStart <= PAYLOAD_BYTES_MAX);
      found.push(`${parser.kind} ${parser.flags} ${parser.sequence} ${parser.payloadEnd}`);
      decoded(parser.kind, bytes.subarray(parser.payloadStart, parser.payloadEnd));
      at = parser.payloadEnd;
    }
  }
  return { found, fault: undefined };
}

/** Whatever a payload is: it is decoded, or refused by name. */
function decoded(kind: number, payload: Uint8Array): void {
  const decoders: ((payload: Uint8Array) => unknown)[] = [
    ...[decodeHello, decodeWelcome, decodeResume, decodeResumed, decodeFault, decodeProof],
    ...[decodeRecordsPrefix, decodePagesPrefix, decodeAgain],
  ];
  for (const decode of decoders) decode(payload);
  for (const decode of [decodeGreeting, decodeTargetGreeting, decodeSummary])
    refusedByName(() => decode(payload));
  const fault = kind === SessionKind.abort ? decodeFault(payload) : "none";
  if (typeof fault !== "string") GodwitError.fromWire(fault).toJSON();
}

function refusedByName(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof GodwitError && error.code === "LINK_FRAME")) throw error;
  }
}

function runFrames(input: Uint8Array): Verdict {
  const whole = parsed(input, () => input.length);
  const random = new Random(hashOf(input));
  const pieces = parsed(input, (at) => at + 1 + random.below(90));
  assert.deepEqual(pieces, whole, "any cut gives the same frames");
  return whole.fault === undefined ? "accepted" : "rejected";
}

const frame = (kind: FrameKind, sequence: number, payload: Uint8Array) =>
  encodeFrame(kind, sequence, payload, crc32);
const sessionId = new Uint8Array(16).fill(9);

function frameSeeds(): Uint8Array[] {
  const greeting = ascii('{"seed":{"low":1,"high":2},"pageCacheBytes":4096}');
  const summary = '{"cpuMs":1,"rssBytes":2,"faults":0,"unpackMs":0,"decodeMs":0,"faultTimes":null}';
  const hello = encodeHello({ versionMin: 1, versionMax: 1, sessionId, ticket: ascii("word"), greeting });
  const point = { receivedUpTo: 3, releasedUpTo: 2 };
  const proof = encodeProof({ place: 3, answer: 0, pages: 5, lo: 1, hi: 2 });
  const fault = encodeFault({ code: "CANCELLED", fields: {}, message: "so" });
  return [
    [frame(SessionKind.hello, 0, hello), frame(SessionKind.ping, 7, new Uint8Array(0))],
    [
      frame(SessionKind.welcome, 0, encodeWelcome({ version: 1, greeting })),
      frame(DataKind.stream, 1, ascii("QEVM")),
    ],
    [frame(SessionKind.resume, 0, encodeResume({ version: 1, sessionId, ticket: ascii("w"), ...point }))],
    [frame(SessionKind.resumed, 0, encodeResumed(point)), frame(DataKind.digest, 1, proof)],
    [frame(DataKind.summary, 1, ascii(summary)), frame(DataKind.finish, 2, new Uint8Array(0))],
    [frame(SessionKind.pong, 7, new Uint8Array(0)), frame(SessionKind.ack, 1, new Uint8Array(0))],
    [
      frame(DataKind.records, 1, Uint8Array.of(0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2)),
      frame(DataKind.pages, 2, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 3, 0, 1, 1)),
      frame(DataKind.again, 3, Uint8Array.of(0, 0, 0, 1)),
      frame(DataKind.finish, 4, new Uint8Array(0)),
      frame(SessionKind.abort, 0, fault),
    ],
  ].map((frames) => Buffer.concat(frames));
}

/** Changes a header or a payload, and makes its checksums right again: what is behind them is to be reached. */
function mutatedWire(input: Uint8Array, random: Random): Uint8Array {
  const starts: number[] = [];
  for (let at = 0; at + HEADER_BYTES <= input.length; ) {
    starts.push(at);
    at += HEADER_BYTES + Buffer.from(input.buffer, input.byteOffset).readUInt32BE(at + 8);
  }
  if (starts.length === 0) return input;
  const at = random.pick(starts);
  const out = Uint8Array.from(input);
  const head = Buffer.from(out.buffer, at, HEADER_BYTES);
  const end = Math.min(out.length, at + HEADER_BYTES + head.readUInt32BE(8));
  const payload = out.subarray(at + HEADER_BYTES, end);
  switch (random.below(5)) {
    case 0:
      if (payload.length > 0) payload[random.below(payload.length)] = random.next() & 0xff;
      break;
    case 1:
      head[5] = random.below(27);
      break;
    case 2:
      head.writeUInt32BE(random.pick([0, 1, payload.length + 1, 4096, 131_072, 131_073, 0xffffffff]), 8);
      break;
    case 3:
      head.writeUInt32BE(random.pick([0, 1, 2, 3, 0x7fffffff, 0xffffffff]), random.pick([16, 20]));
      break;
    default:
      return splice(out, random.pick(starts), 0, out.subarray(at, end));
  }
  if (isChecked(head[5]!)) head.writeUInt32BE(crc32(payload), 12);
  head.writeUInt32BE(crc32(head.subarray(0, 28)), 28);
  return out;
}

/** What a session does with its connection, without a socket. */
class Wire {
  readonly address = "peer";
  readonly stopped = false;
  sentBytes = 0;
  receivedBytes = 0;
  handler: ConnectionHandler | undefined;
  destroyed = false;
  readInto(): boolean {
    return true;
  }
  handOver(handler: ConnectionHandler): void {
    this.handler = handler;
  }
  send(kind: FrameKind, sequence: number, payload: Uint8Array = new Uint8Array(0)): void {
    this.sentBytes += encodeFrame(kind, sequence, payload, crc32).length;
  }
  sendData(out: { readonly bytes: number }, written: () => void): void {
    this.sentBytes += out.bytes;
    written();
  }
  end(): void {}
  destroy(reason: string, fault?: string): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.handler?.closed(reason, fault);
  }
}

const ARENA_BYTES = 2 ** 20;
const arenaMemory = new Uint8Array(ARENA_BYTES);

/** Frames with right headers, one after the other, into one end of a session; every other delivery is kept for a while. */
function runSession(input: Uint8Array): Verdict {
  const arena = new Arena(arenaMemory, ARENA_BYTES);
  const offset = arena.take()!;
  let delivered = 0;
  const kept: { release(): void }[] = [];
  const endpoint = new Endpoint(
    { arena, reconnectForMs: 1000, bandwidthBytesPerSec: 0, now: () => 0 } as ConstructorParameters<
      typeof Endpoint
    >[0],
    "peer",
    { lost: () => undefined, over: () => undefined },
  );
  endpoint.handleWith({
    frame(received) {
      delivered++;
      if (delivered % 2 === 0) kept.push(received);
      else received.release();
      if (delivered % 5 === 0) for (const one of kept.splice(0).reverse()) one.release();
    },
    drain: () => undefined,
    ended: () => undefined,
  });
  const wire = new Wire();
  let verdict: Verdict = "accepted";
  try {
    endpoint.attach(wire as unknown as Connection, { receivedUpTo: 0, releasedUpTo: 0 }, () => undefined);
    for (let i = 0; i < 3; i++) endpoint.send(DataKind.verdict, [new Uint8Array(16)]);
    const parser = new FrameParser(crc32);
    for (let at = 0; at < input.length && !wire.destroyed; at = parser.payloadEnd) {
      const next = parser.next(input, at, input.length);
      if (next !== "frame") break;
      const { kind, flags, sequence, payloadStart, payloadEnd } = parser;
      wire.receivedBytes += payloadEnd - at;
      const payload = input.subarray(payloadStart, payloadEnd);
      const fault = wire.handler!.frame({ kind, flags, sequence, payload, offset });
      if (fault === undefined) continue;
      verdict = "rejected";
      wire.destroy(`a frame breaks the rule ${fault}`, fault);
    }
    const { receivedUpTo, releasedUpTo } = endpoint.point;
    assert(releasedUpTo <= receivedUpTo && delivered <= receivedUpTo, "each frame once and in order");
  } finally {
    // Its timers end with it and its connection.
    endpoint.fail(new GodwitError("CANCELLED", {}));
    wire.destroy("over");
    for (const one of kept) one.release();
  }
  return verdict;
}

function sessionSeeds(): Uint8Array[] {
  const data = (sequence: number, flags = 0) => {
    const out = new Uint8Array(HEADER_BYTES + 4);
    const header = {
      kind: DataKind.stream,
      flags,
      payloadBytes: 4,
      payloadChecksum: crc32(out.subarray(32)),
      sequence,
    };
    encodeHeader(out, 0, header, crc32);
    return out;
  };
  const small = (kind: FrameKind, sequence: number) => frame(kind, sequence, new Uint8Array(0));
  return [
    [1, 2, 3, 4, 5, 6].map((sequence) => data(sequence)),
    [data(1, 1), small(SessionKind.ack, 1), data(2), small(SessionKind.ack, 3), small(DataKind.finish, 3)],
    [
      small(SessionKind.ping, 1),
      small(SessionKind.pong, 0),
      small(SessionKind.pong, 1),
      data(1),
      data(1),
      data(2),
    ],
    [data(1), frame(SessionKind.abort, 0, encodeFault({ code: "CANCELLED", fields: {}, message: "" }))],
  ].map((frames) => Buffer.concat(frames));
}

export const frames: Surface = {
  ...{ name: "frames", weight: 10, seeds: frameSeeds, run: runFrames, mutate: mutatedWire },
};
export const session: Surface = {
  ...{ name: "session", weight: 5, seeds: sessionSeeds, run: runSession, mutate: mutatedWire },
};
