/**
 * Goal: the layout stays what docs/wire.md says, byte by byte, and each broken rule is named.
 * Method: golden bytes written by hand, then one damaged field at a time (with a right header checksum).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import {
  ACK_SOON,
  DataKind,
  decodeFault,
  decodeHeader,
  decodeHello,
  decodeRecordsPrefix,
  decodeResumed,
  encodeFrame,
  encodeHeader,
  encodeHello,
  FrameParser,
  PAYLOAD_BYTES_MAX,
  SessionKind,
} from "../../src/wire/mod.ts";

test("an ack frame, byte by byte", () => {
  const frame = encodeFrame(SessionKind.ack, 0x1_2345_6789, new Uint8Array(0), crc32);
  const golden =
    "474f4457" + // "GODW"
    "01" + // layout
    "06" + // ack
    "0000" + // flags
    "00000000" + // payload bytes
    "00000000" + // CRC-32 of nothing
    "0000000123456789" + // released up to
    "00000000"; // reserved
  assert.equal(Buffer.from(frame.subarray(0, 28)).toString("hex"), golden);
  assert.equal(Buffer.from(frame).readUInt32BE(28), crc32(frame.subarray(0, 28)));
});

test("a hello payload, byte by byte", () => {
  const sessionId = Uint8Array.from({ length: 16 }, (_, i) => i);
  const ticket = Uint8Array.of(0xaa);
  const payload = encodeHello({
    versionMin: 1,
    versionMax: 2,
    sessionId,
    ticket,
    greeting: Uint8Array.of(0xbb, 0xcc),
  });
  assert.equal(
    Buffer.from(payload).toString("hex"),
    "0001" + "0002" + "000102030405060708090a0b0c0d0e0f" + "0001" + "0002" + "aa" + "bbcc",
  );
});

/** A valid header of a stream frame, then `damage`, then the header checksum made right again. */
function damaged(damage: (header: Buffer) => void): Buffer {
  const header = Buffer.alloc(32);
  encodeHeader(
    header,
    0,
    { kind: DataKind.stream, flags: ACK_SOON, payloadBytes: 5, payloadChecksum: 7, sequence: 9 },
    crc32,
  );
  damage(header);
  header.writeUInt32BE(crc32(header.subarray(0, 28)), 28);
  return header;
}

const RULES: readonly (readonly [string, (header: Buffer) => void])[] = [
  ["magic", (h) => h.writeUInt32BE(0x47455420, 0)],
  ["layout", (h) => h.writeUInt8(2, 4)],
  ["kind", (h) => h.writeUInt8(0, 5)],
  ["kind", (h) => h.writeUInt8(15, 5)],
  ["kind", (h) => h.writeUInt8(25, 5)],
  ["flags", (h) => h.writeUInt16BE(2, 6)],
  ["reserved", (h) => h.writeUInt32BE(1, 24)],
  ["payload_too_large", (h) => h.writeUInt32BE(PAYLOAD_BYTES_MAX + 1, 8)],
  ["sequence", (h) => h.writeBigUInt64BE(0n, 16)],
  ["sequence", (h) => h.writeBigUInt64BE(1n << 53n, 16)],
  ["payload_checksum", (h) => h.writeUInt8(DataKind.records, 5)],
  ["payload_checksum", (h) => h.writeUInt8(DataKind.pages, 5)],
  [
    "payload_too_large",
    (h) => {
      h.writeUInt8(DataKind.again, 5);
      h.writeUInt32BE(4097, 8);
    },
  ],
];

test("each broken rule of a header is named", () => {
  const good = decodeHeader(
    damaged(() => undefined),
    0,
    crc32,
  );
  assert.deepEqual(good, {
    kind: DataKind.stream,
    flags: ACK_SOON,
    payloadBytes: 5,
    payloadChecksum: 7,
    sequence: 9,
  });
  for (const [rule, damage] of RULES) assert.equal(decodeHeader(damaged(damage), 0, crc32), rule);
  const wrong = damaged(() => undefined);
  wrong[31]! ^= 1;
  assert.equal(decodeHeader(wrong, 0, crc32), "header_checksum");
});

test("a length is refused before its payload is awaited", () => {
  const header = damaged((h) => h.writeUInt32BE(0xffff_ffff, 8));
  assert.equal(new FrameParser(crc32).next(header, 0, header.length), "payload_too_large");
});

test("each broken rule of a payload is named", () => {
  const hello = {
    versionMin: 1,
    versionMax: 1,
    sessionId: new Uint8Array(16),
    ticket: new Uint8Array(0),
    greeting: new Uint8Array(0),
  };
  const payload = Buffer.from(encodeHello(hello));
  assert.equal(decodeHello(payload.subarray(0, 23)), "too_short");
  assert.equal(decodeHello(Buffer.concat([payload, payload])), "length");
  const long = Buffer.from(payload);
  long.writeUInt16BE(129, 20);
  assert.equal(decodeHello(Buffer.concat([long, Buffer.alloc(129)])), "length");
  const versions = Buffer.from(payload);
  versions.writeUInt16BE(2, 0);
  assert.equal(decodeHello(versions), "version_range");
  const point = Buffer.alloc(16);
  point.writeBigUInt64BE(1n, 8);
  assert.equal(decodeResumed(point), "receive_point");
  assert.equal(decodeRecordsPrefix(Uint8Array.of(0, 0, 0)), "records_too_short");
  assert.equal(decodeRecordsPrefix(Uint8Array.of(0, 0, 0, 0, 1)), "records_empty");
  const json = (value: unknown) => decodeFault(new TextEncoder().encode(JSON.stringify(value)));
  assert.equal(decodeFault(Uint8Array.of(0xff)), "utf8");
  assert.equal(decodeFault(Uint8Array.of(0x7b)), "json");
  assert.equal(json({ code: 1, fields: {}, message: "" }), "shape");
  assert.equal(json({ code: "A", fields: { path: { toString: 1 } }, message: "" }), "fields_not_flat");
});

test("the writer asserts what the reader checks", () => {
  const empty = new Uint8Array(0);
  assert.throws(() => encodeFrame(DataKind.stream, 0, empty, crc32), RangeError);
  assert.throws(() => encodeFrame(SessionKind.hello, 1, empty, crc32), RangeError);
  assert.throws(() => encodeFrame(DataKind.finish, 1, Uint8Array.of(1), crc32), RangeError);
  assert.throws(
    () => encodeFrame(DataKind.stream, 1, new Uint8Array(PAYLOAD_BYTES_MAX + 1), crc32),
    RangeError,
  );
});
