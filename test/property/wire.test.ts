/**
 * Goal: what is encoded is decoded again, whatever the chunking; damage is noticed; a peer's bytes never throw.
 * Method: fast-check over frames, handshakes and plain noise; CRC-32 compared with node:zlib.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import {
  crc32Plain,
  DataKind,
  decodeFault,
  decodeHello,
  decodeRecordsPrefix,
  decodeResume,
  decodeResumed,
  decodeWelcome,
  encodeFault,
  encodeFrame,
  encodeHello,
  encodeRecordsPrefix,
  encodeResume,
  encodeResumed,
  encodeWelcome,
  FAULT_BYTES_MAX,
  FrameParser,
  HEADER_BYTES,
  isChecked,
} from "../../src/wire/mod.ts";

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const sequence = fc.maxSafeNat().map((n) => Math.max(1, n));
const dataKind = fc.constantFrom(
  DataKind.stream,
  DataKind.records,
  DataKind.digest,
  DataKind.verdict,
  DataKind.returnPath,
  DataKind.summary,
  DataKind.pages,
  DataKind.again,
);
const frame = fc.record({ kind: dataKind, sequence, payload: bytes(300) });

test("the plain CRC-32 is that of zlib, in one piece and in two", () => {
  fc.assert(
    fc.property(bytes(2000), bytes(50), (a, b) => {
      assert.equal(crc32Plain(a), crc32(a));
      assert.equal(crc32Plain(b, crc32Plain(a)), crc32(Buffer.concat([a, b])));
    }),
  );
});

test("frames come out as they went in, whatever the chunking", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.nat(400), { maxLength: 40 }),
      (frames, cuts) => {
        const whole = Buffer.concat(frames.map((f) => encodeFrame(f.kind, f.sequence, f.payload, crc32)));
        const parser = new FrameParser(crc32Plain);
        const found: unknown[] = [];
        let at = 0;
        let end = 0;
        for (const cut of [...cuts, whole.length]) {
          end = Math.min(whole.length, end + cut);
          for (;;) {
            // What comes later is not there yet.
            const result = parser.next(whole.subarray(0, end), at, end);
            if (result === "more") break;
            assert.equal(result, "frame");
            const payload = new Uint8Array(whole.subarray(parser.payloadStart, parser.payloadEnd));
            found.push({ kind: parser.kind, sequence: parser.sequence, payload });
            at = parser.payloadEnd;
          }
        }
        assert.deepEqual(
          found,
          frames.map((f) => ({ ...f, payload: new Uint8Array(f.payload) })),
        );
        assert.equal(at, whole.length);
      },
    ),
  );
});

test("one wrong bit is noticed: anywhere in the header, and in every payload but those with guest memory", () => {
  fc.assert(
    fc.property(frame, fc.nat(), fc.nat(7), (f, where, bit) => {
      const whole = encodeFrame(f.kind, f.sequence, f.payload, crc32);
      const covered = isChecked(f.kind) ? whole.length : HEADER_BYTES;
      whole[where % covered]! ^= 1 << bit;
      const result = new FrameParser(crc32).next(whole, 0, whole.length);
      assert(result !== "frame" && result !== "more", `bit ${bit} of byte ${where % covered}: ${result}`);
    }),
  );
});

test("handshakes and prefixes come out as they went in", () => {
  const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const version = fc.integer({ min: 1, max: 0xffff });
  const point = fc
    .tuple(fc.maxSafeNat(), fc.maxSafeNat())
    .map(([a, b]) => ({ receivedUpTo: Math.max(a, b), releasedUpTo: Math.min(a, b) }));
  fc.assert(
    fc.property(
      id,
      version,
      version,
      bytes(128),
      bytes(4096),
      point,
      (sessionId, v, w, ticket, greeting, p) => {
        const hello = { versionMin: Math.min(v, w), versionMax: Math.max(v, w), sessionId, ticket, greeting };
        assert.deepEqual(decodeHello(encodeHello(hello)), hello);
        assert.deepEqual(decodeWelcome(encodeWelcome({ version: v, greeting })), { version: v, greeting });
        const resume = { version: v, sessionId, ...p, ticket };
        assert.deepEqual(decodeResume(encodeResume(resume)), resume);
        assert.deepEqual(decodeResumed(encodeResumed(p)), p);
      },
    ),
  );
  const context = fc.option(fc.integer({ min: 0, max: 0xfffe }), { nil: undefined });
  fc.assert(
    fc.property(context, version, (index, pages) => {
      const payload = Uint8Array.of(...encodeRecordsPrefix({ context: index, pages }), 0);
      assert.deepEqual(decodeRecordsPrefix(payload), { context: index, pages });
    }),
  );
});

test("an error of any size fits its frame and comes out with its code", () => {
  const value = fc.oneof(
    fc.string({ unit: "binary", maxLength: 3000 }),
    fc.double(),
    fc.boolean(),
    fc.object(),
  );
  const error = fc.record({
    code: fc.string({ maxLength: 40 }),
    fields: fc.dictionary(fc.string({ maxLength: 20 }), value),
    message: fc.string({ unit: "binary", maxLength: 3000 }),
  });
  fc.assert(
    fc.property(error, (given) => {
      const encoded = encodeFault(given);
      assert(encoded.length <= FAULT_BYTES_MAX);
      const decoded = decodeFault(encoded);
      assert(typeof decoded === "object", String(decoded));
      assert.equal(decoded.code, given.code);
    }),
    { numRuns: 30 },
  );
});

test("noise never throws", () => {
  fc.assert(
    fc.property(bytes(200), (noise) => {
      for (const decode of [
        decodeHello,
        decodeWelcome,
        decodeResume,
        decodeResumed,
        decodeFault,
        decodeRecordsPrefix,
      ])
        decode(noise);
      const result = new FrameParser(crc32).next(noise, 0, noise.length);
      assert.notEqual(result, "frame");
    }),
  );
});
