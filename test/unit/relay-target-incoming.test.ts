/**
 * Goal: frames of the link are handled in the order of arrival although some are unpacked first; no more than a few are
 * unpacked ahead; a frame is released once, and not while a thread reads it; what a peer packed wrongly is named.
 * Method: the queue with an unpacker whose results come when the test says so, and a handler that keeps notes; then the
 * real unpacker on its own. Greetings and the hook that loses bases are checked value by value.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import type { ReceivedFrame } from "../../src/link/mod.ts";
import {
  decodeGreeting,
  decodeSummary,
  decodeTargetGreeting,
  encodeGreeting,
  encodeSummary,
  encodeTargetGreeting,
} from "../../src/relay/greeting.ts";
import { IncomingQueue, type Turn, UNPACKED_AHEAD_MAX } from "../../src/relay/incoming.ts";
import { losesBases } from "../../src/relay/losing.ts";
import { layTargetMemory, STORE_BYTES_MAX } from "../../src/relay/targetMemory.ts";
import { Unpacker, type UnpackFault } from "../../src/relay/unpack.ts";
import { DataKind, encodePagesPrefix, PAGES_OUTPUT_BYTES_MAX, PagesForm } from "../../src/wire/mod.ts";

/** Unpacks when told to. */
class HeldUnpacker extends Unpacker {
  readonly held: ((result: Uint8Array | UnpackFault) => void)[] = [];
  override unpack(_packed: Uint8Array, _bodyBytes: number, done: (r: Uint8Array | UnpackFault) => void) {
    this.held.push(done);
  }
}

/** A queue, and what became of its frames: a frame's name is the last byte of its payload. */
function world(answer: (name: number) => Turn = () => "handled") {
  const notes: string[] = [];
  const released: number[] = [];
  const unpacker = new HeldUnpacker();
  const queue: IncomingQueue = new IncomingQueue(
    {
      handle({ frame, unpacked }) {
        const name = frame.payload.at(-1)!;
        const turn = answer(name);
        if (turn !== "handled") return turn;
        notes.push(unpacked === undefined ? `${name}` : `${name}:${unpacked.length}`);
        frame.release();
        return turn;
      },
      failed(cause) {
        notes.push(
          `failed ${(cause as { fields?: { rule: string } }).fields?.rule ?? (cause as Error).message}`,
        );
        queue.end();
      },
    },
    unpacker,
  );
  const push = (name: number, kind: DataKind, form?: PagesForm) => {
    const prefix = form === undefined ? [] : [encodePagesPrefix({ form, entries: 1, bodyBytes: 9 })];
    const body = form === undefined || form === PagesForm.zstd ? [name] : [0, 0, 0, 0, 0, 0, 0, 0, name];
    const payload = Buffer.concat([...prefix, Uint8Array.from(body)]);
    const frame: ReceivedFrame = {
      kind,
      payload,
      release: () => {
        assert.ok(!released.includes(name), `frame ${name} is released once`);
        released.push(name);
      },
    };
    queue.push(frame);
  };
  return { notes, released, unpacker, queue, push };
}
const { stream, pages, digest } = DataKind;
const { plain, zstd, repair } = PagesForm;

test("a frame that can be handled is handled at once", () => {
  const { notes, released, push } = world();
  push(1, stream);
  push(2, pages, plain);
  assert.deepEqual(notes, ["1", "2"]);
  assert.deepEqual(released, [1, 2]);
});

test("frames behind a packed one wait for it, whichever is unpacked first", () => {
  const { notes, unpacker, push } = world();
  push(1, pages, zstd);
  push(2, stream);
  push(3, pages, zstd);
  push(4, pages, plain);
  unpacker.held[1]!(new Uint8Array(9));
  assert.deepEqual(notes, []);
  unpacker.held[0]!(new Uint8Array(9));
  assert.deepEqual(notes, ["1:9", "2", "3:9", "4"]);
});

test("no more bodies than a few are unpacked ahead of their turn", () => {
  const { notes, unpacker, push } = world();
  for (let name = 1; name <= 20; name++) push(name, pages, zstd);
  assert.equal(unpacker.held.length, UNPACKED_AHEAD_MAX);
  for (let i = 1; i < UNPACKED_AHEAD_MAX; i++) unpacker.held[i]!(new Uint8Array(9));
  assert.equal(unpacker.held.length, UNPACKED_AHEAD_MAX, "those that wait for their turn count");
  for (let i = 0; i < unpacker.held.length; i++)
    if (i === 0 || i >= UNPACKED_AHEAD_MAX) unpacker.held[i]!(new Uint8Array(9));
  assert.deepEqual(
    notes,
    Array.from({ length: 20 }, (_, i) => `${i + 1}:9`),
  );
});

test("a frame whose turn is later keeps it", () => {
  let room = false;
  const { notes, queue, push } = world((name) => (name === 2 && !room ? "later" : "handled"));
  for (let name = 1; name <= 3; name++) push(name, stream);
  assert.deepEqual(notes, ["1"]);
  room = true;
  queue.advance();
  assert.deepEqual(notes, ["1", "2", "3"]);
});

test("only repairs overtake a digest that waits for them, and no other frame does", () => {
  let lacking = 2;
  const { notes, push } = world((name) => {
    if (name === 2 && lacking > 0) return "repair";
    if (name >= 50) lacking--;
    return "handled";
  });
  push(1, stream);
  push(2, digest);
  push(3, stream);
  push(50, pages, repair);
  assert.deepEqual(notes, ["1", "50"]);
  push(4, pages, plain);
  push(51, pages, repair);
  assert.deepEqual(notes, ["1", "50", "51", "2", "3", "4"]);
});

test("a repair that is there before the digest waits is found, and keeps its place when it has no room", () => {
  let lacking = true;
  let room = false;
  const { notes, unpacker, queue, push } = world((name) => {
    if (name === 2 && lacking) return "repair";
    if (name === 50 && !room) return "later";
    if (name === 50) lacking = false;
    return "handled";
  });
  push(1, pages, zstd);
  push(2, digest);
  push(3, stream);
  push(50, pages, repair);
  unpacker.held[0]!(new Uint8Array(9));
  assert.deepEqual(notes, ["1:9"]);
  room = true;
  queue.advance();
  assert.deepEqual(notes, ["1:9", "50", "2", "3"]);
});

test("what is wrong with a frame is told in its turn, and ends the work", () => {
  const { notes, released, unpacker, push } = world();
  push(1, pages, zstd);
  push(2, pages); // a payload of one byte
  push(3, stream);
  push(4, pages, zstd);
  assert.deepEqual(notes, []);
  unpacker.held[0]!(new Uint8Array(9));
  assert.deepEqual(notes, ["1:9", "failed pages_too_short"]);
  assert.deepEqual(released, [1, 2, 3], "but 4 is still read by a thread");
  unpacker.held[1]!("pages_zstd");
  assert.deepEqual(released, [1, 2, 3, 4]);
  push(5, stream);
  assert.deepEqual(notes.length, 2, "nothing is handled any more");
  assert.deepEqual(released, [1, 2, 3, 4, 5]);
});

test("a handler that throws has its frame released once; the end releases those that wait", () => {
  const throwing = world(() => {
    throw new Error("no");
  });
  throwing.push(1, stream);
  assert.deepEqual(throwing.notes, ["failed no"]);
  assert.deepEqual(throwing.released, [1]);
  const waiting = world(() => "later");
  waiting.push(1, stream);
  waiting.push(2, stream);
  waiting.queue.end();
  waiting.queue.end();
  assert.deepEqual(waiting.released, [1, 2]);
});

/** What the real unpacker says. */
function unpacked(packed: Uint8Array, bodyBytes: number): Promise<Uint8Array | UnpackFault> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | UnpackFault>();
  new Unpacker().unpack(packed, bodyBytes, resolve);
  return promise;
}

test("a body unpacks to exactly what was said, or to a rule", async () => {
  for (const bytes of [1, 2, 63, 64, 65, 4096, 100_000, 131_064]) {
    const body = Uint8Array.from({ length: bytes }, (_, i) => i >> 3);
    const packed = zstdCompressSync(body, { pledgedSrcSize: bytes });
    const result = await unpacked(packed, bytes);
    assert.ok(typeof result !== "string", `${bytes} bytes: ${String(result)}`);
    assert.equal(Buffer.compare(result, body), 0);
    assert.equal(await unpacked(packed, bytes + 1), "pages_unpacked_size");
    if (bytes > 1) assert.equal(await unpacked(packed, bytes - 1), "pages_unpacked_size");
    assert.equal(await unpacked(packed.subarray(0, -1), bytes), "pages_unpacked_size");
    assert.equal(await unpacked(Buffer.concat([packed, Uint8Array.of(0)]), bytes), "pages_zstd");
  }
});

test("a body stays as it is until it is given back; then its room is used again", async () => {
  const unpacker = new Unpacker();
  const unpack = (packed: Uint8Array, bodyBytes: number) =>
    new Promise<Uint8Array>((resolve) =>
      unpacker.unpack(packed, bodyBytes, (body) => {
        assert.ok(typeof body !== "string", String(body));
        resolve(body);
      }),
    );
  const rooms = new Set<ArrayBufferLike>();
  const kept: { wanted: Uint8Array; body: Uint8Array }[] = [];
  for (let i = 0; i < 20; i++) {
    const wanted = Buffer.alloc(100_000 + i, i);
    const body = await unpack(zstdCompressSync(wanted, { pledgedSrcSize: wanted.length }), wanted.length);
    kept.push({ wanted, body });
    rooms.add(body.buffer);
    for (const { wanted, body } of kept) assert.equal(Buffer.compare(body, wanted), 0);
    if (i % 4 === 3) for (const { body } of kept.splice(0)) unpacker.reuse(body);
  }
  assert.equal(rooms.size, 4, "as many as were in use at once");
  unpacker.close();
});

test("a window larger than any body is refused", async () => {
  // No content size; windows of 2^18 and 2^17; an empty last block.
  assert.equal(await unpacked(Buffer.from("28b52ffd0040010000", "hex"), 100), "pages_zstd");
  assert.equal(await unpacked(Buffer.from("28b52ffd0038010000", "hex"), 100), "pages_unpacked_size");
});

test("greetings and the summary say the same at both ends, and nothing else is taken for one", () => {
  const greeting = { seed: { low: 0, high: 0xffff_ffff }, pageCacheBytes: 2 ** 40 };
  assert.deepEqual(decodeGreeting(encodeGreeting(greeting)), greeting);
  assert.deepEqual(decodeTargetGreeting(encodeTargetGreeting({ pageCacheBytes: 0 })), { pageCacheBytes: 0 });
  const figures = { cpuMs: 1.5, rssBytes: 2, faults: 3, unpackMs: 4.5, decodeMs: 0 };
  const summary = { ...figures, faultTimes: null };
  assert.deepEqual(decodeSummary(encodeSummary(summary)), summary);
  const times = { count: 2, p50Ms: 1, p95Ms: 2, p99Ms: 2, maxMs: 2 };
  const faultTimes = {
    ...times,
    buckets: [
      { toMs: 5, count: 2 },
      { toMs: null, count: 0 },
    ],
  };
  assert.deepEqual(decodeSummary(encodeSummary({ ...summary, faultTimes })).faultTimes, faultTimes);

  const said = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const none = [null, 7, "x", [], {}];
  const bytes = [-4096, 1, 4097, 2 ** 60, null, "4096", undefined];
  const broken = { code: "LINK_FRAME", fields: { rule: "greeting" } };
  for (const value of [...none, ...bytes.map((pageCacheBytes) => ({ ...greeting, pageCacheBytes }))])
    assert.throws(() => decodeGreeting(said(value)), broken, JSON.stringify(value));
  for (const low of [-1, 0.5, 2 ** 32, null])
    assert.throws(() => decodeGreeting(said({ ...greeting, seed: { low, high: 0 } })), broken);
  for (const value of [...none, ...bytes.map((pageCacheBytes) => ({ pageCacheBytes }))])
    assert.throws(() => decodeTargetGreeting(said(value)), broken, JSON.stringify(value));
  for (const text of ["", "{", "\xff"])
    assert.throws(() => decodeTargetGreeting(Buffer.from(text, "latin1")), broken);
  for (const odd of [7, {}, { ...faultTimes, p50Ms: null }, { ...times, buckets: [{ toMs: "1", count: 0 }] }])
    assert.throws(() => decodeSummary(said({ ...summary, faultTimes: odd })), { code: "LINK_FRAME" });
  for (const field of Object.keys(figures))
    for (const value of [-1, null, "1"])
      assert.throws(() => decodeSummary(said({ ...summary, [field]: value })), { code: "LINK_FRAME" }, field);
});

test("the target's memory holds what was asked for and never more than there is", () => {
  const { kernels, store, bodyAt, outputArena, linkArena } = layTargetMemory(10 * 4096 + 5);
  assert.equal(store.bytes, 10 * 4096);
  assert.ok(store.start + store.bytes <= kernels.bytes.length);
  assert.ok(bodyAt + 131_072 <= store.start);
  assert.ok(outputArena.chunkBytes >= PAGES_OUTPUT_BYTES_MAX + 18, "one frame's records fit a chunk");
  assert.ok(linkArena.chunks * linkArena.chunkBytes > 8 * 2 ** 20, "more than the largest window");
  assert.equal(layTargetMemory(2 ** 40).store.bytes, STORE_BYTES_MAX);
  assert.ok(STORE_BYTES_MAX > 960 * 2 ** 20);
});

test("a relay that is to lose bases says so and loses every so many", () => {
  assert.equal(losesBases({}), undefined);
  assert.equal(losesBases({ GODWIT_TEST_LOSE_BASE: "" }), undefined);
  const losing = losesBases({ GODWIT_TEST_LOSE_BASE: "3" });
  assert.match(losing!.warning, /LOSES BASES ON PURPOSE: GODWIT_TEST_LOSE_BASE=3/);
  assert.deepEqual(
    Array.from({ length: 7 }, () => losing!.lose()),
    [false, false, true, false, false, true, false],
  );
  for (const bad of ["0", "-1", "1.5", "many", "1000001"])
    assert.throws(() => losesBases({ GODWIT_TEST_LOSE_BASE: bad }), { code: "USAGE" }, bad);
});
