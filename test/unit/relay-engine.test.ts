/**
 * Goal: what leaves the source leaves in order and whole, whatever is still being packed; what waits is bounded; memory that
 * was lent is given back exactly once, also when the link ends in between.
 * Method: the outgoing queue, the packer, the room for batches and the whole coding engine against a link in this process;
 * what the engine sends is unpacked and decoded by the target's decoder. No QEMU.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { loadKernels, PAGE_BYTES } from "../../kernels/mod.ts";
import { Arena, type LinkStats } from "../../src/link/mod.ts";
import {
  ENGINES,
  type EngineName,
  PageDecoder,
  PageNumbers,
  type PolicyName,
  SlottedStore,
} from "../../src/pages/mod.ts";
import { BatchRoom } from "../../src/relay/engine/batches.ts";
import { sourceMemory } from "../../src/relay/engine/layout.ts";
import { makeEngine } from "../../src/relay/engine/make.ts";
import { Outgoing, WAITING_BYTES_MAX } from "../../src/relay/engine/outgoing.ts";
import { Packer } from "../../src/relay/engine/packer.ts";
import { MemoryProof } from "../../src/relay/proof.ts";
import { PageKind, putRecordHead, type RamBlock } from "../../src/stream/mod.ts";
import {
  DataKind,
  decodePagesPrefix,
  PAGES_OUTPUT_BYTES_MAX,
  PAGES_PREFIX_BYTES,
  PagesForm,
} from "../../src/wire/mod.ts";

const bytes = (n: number, fill = 1): Uint8Array => new Uint8Array(n).fill(fill);

/** A link that takes frames while it is open. */
function fakeLink() {
  const sent: { kind: DataKind; parts: readonly Uint8Array[]; acked: () => void }[] = [];
  const link = { full: false, sent, rooms: 0, nowMs: 0 };
  const outgoing = new Outgoing({
    send(kind, parts, acked) {
      sent.push({ kind, parts, acked });
      return !link.full;
    },
    room: () => void link.rooms++,
    now: () => link.nowMs,
  });
  return { link, outgoing, tags: () => sent.map(({ parts }) => parts[0]?.[0]) };
}

describe("outgoing", () => {
  test("a frame that is still being made keeps its place", () => {
    const { outgoing, tags } = fakeLink();
    outgoing.send(DataKind.stream, [bytes(1, 1)]);
    const place = outgoing.reserve(DataKind.pages, 100);
    outgoing.send(DataKind.digest, [bytes(1, 3)]);
    assert.deepEqual(tags(), [1]);
    place.fill([bytes(10, 2)]);
    assert.deepEqual(tags(), [1, 2, 3]);
    assert.equal(outgoing.waitingBytes, 0);
  });

  test("while the link is full nothing is given to it, and room is told when it goes on", () => {
    const { link, outgoing, tags } = fakeLink();
    link.full = true;
    outgoing.send(DataKind.stream, [bytes(1, 1)]);
    outgoing.send(DataKind.stream, [bytes(1, 2)]);
    assert.deepEqual(tags(), [1]);
    assert.equal(outgoing.hasRoom(false), false);
    assert.equal(outgoing.hasRoom(true), true);
    link.full = false;
    outgoing.drain();
    assert.deepEqual(tags(), [1, 2]);
    assert.equal(outgoing.hasRoom(false), true);
    assert.ok(link.rooms > 0);
  });

  test("what waits for packing is bounded", () => {
    const { outgoing } = fakeLink();
    let reserved = 0;
    while (outgoing.hasRoom(true)) {
      outgoing.reserve(DataKind.pages, 120 * 1024);
      reserved += 120 * 1024;
    }
    assert.ok(reserved <= WAITING_BYTES_MAX + 120 * 1024, `${reserved} bytes`);
  });

  test("each frame is done exactly once: acknowledged, or at the link's end", () => {
    const { link, outgoing } = fakeLink();
    const done = [0, 0, 0, 0];
    const count = (i: number) => () => void done[i]!++;
    outgoing.send(DataKind.stream, [bytes(1)], count(0));
    link.full = true;
    outgoing.send(DataKind.stream, [bytes(1)], count(1));
    outgoing.send(DataKind.stream, [bytes(1)], count(2));
    const place = outgoing.reserve(DataKind.pages, 10);
    link.sent[0]!.acked();
    outgoing.ended();
    for (const { acked } of link.sent) acked();
    place.fill([bytes(1)], count(3));
    outgoing.ended();
    assert.deepEqual(done, [1, 1, 1, 1]);
  });

  test("it says what limits: the link, or what is still being made", () => {
    const { link, outgoing } = fakeLink();
    const place = outgoing.reserve(DataKind.pages, 10);
    link.nowMs = 5;
    link.full = true;
    place.fill([bytes(1)]);
    link.nowMs = 12;
    assert.deepEqual(outgoing.limits, { fullMs: 7, makingMs: 5 });
  });
});

describe("the packer", () => {
  test("gives a shorter frame of zstd, or nothing", async () => {
    const packer = new Packer();
    const pack = (body: Uint8Array) =>
      new Promise<Uint8Array | undefined>((resolve) => packer.pack(body, 1, resolve));
    const text = Buffer.from("all work and no play ".repeat(500));
    const packed = await pack(text);
    assert.ok(packed !== undefined && packed.length < text.length / 10);
    assert.deepEqual(zstdDecompressSync(packed), text);
    assert.equal(await pack(randomBytes(5000)), undefined);
    // The same context goes on behind what did not pack.
    const mixed = Buffer.concat([randomBytes(20_000), bytes(40_000)]);
    assert.deepEqual(zstdDecompressSync((await pack(mixed))!), mixed);
    assert.equal(packer.batches, 2);
    for (let i = 0; i < 20; i++) {
      const body = Buffer.concat([randomBytes(60_000), bytes(60_000, i)]);
      assert.deepEqual(zstdDecompressSync((await pack(body))!), body);
    }
    packer.close();
  });

  test("what was packed stays as it is until it is given back, whatever comes behind it", async () => {
    const packer = new Packer();
    const bodies = Array.from({ length: 60 }, (_, i) =>
      Buffer.concat([randomBytes(50_000), bytes(60_000, i)]),
    );
    const pack = (body: Uint8Array) =>
      new Promise<Uint8Array>((resolve) => packer.pack(body, 1, (packed) => resolve(packed!)));
    const buffers = new Set<ArrayBufferLike>();
    let kept: { body: Uint8Array; packed: Uint8Array }[] = [];
    for (let i = 0; i < bodies.length; i += 6) {
      const six = bodies.slice(i, i + 6);
      const packed = await Promise.all(six.map(pack));
      for (const [j, body] of six.entries()) kept.push({ body, packed: packed[j]! });
      for (const { buffer } of packed) buffers.add(buffer);
      for (const { body, packed } of kept) assert.deepEqual(zstdDecompressSync(packed), body);
      // All but one: its room must wait, the others' is used again.
      for (const { packed } of kept.slice(1)) packer.reuse(packed);
      kept = kept.slice(0, 1);
    }
    assert.ok(buffers.size <= 8, `${buffers.size} buffers for 60 bodies`);
    packer.close();
  });

  test("jobs beyond what runs at once wait and are all done", async () => {
    const packer = new Packer();
    let done = 0;
    await Promise.all(
      Array.from(
        { length: 20 },
        () =>
          new Promise<void>((resolve) =>
            packer.pack(bytes(100_000), 1, () => {
              done++;
              resolve();
            }),
          ),
      ),
    );
    assert.equal(done, 20);
    assert.ok(packer.busyMs > 0);
  });
});

describe("the room for batches", () => {
  test("a body is copied out when no other is free, so writing always goes on", () => {
    const arena = new Arena(new Uint8Array(2 * 64), 64);
    let released = 0;
    const room = new BatchRoom(arena, () => void released++);
    arena.memory.fill(7, room.at, room.at + 8);
    const first = room.take(8);
    assert.ok(room.low);
    arena.memory.fill(8, room.at, room.at + 8);
    const second = room.take(8);
    arena.memory.fill(9, room.at, room.at + 8);
    assert.deepEqual([...first.bytes, ...second.bytes], [...bytes(8, 7), ...bytes(8, 8)]);
    second.release();
    first.release();
    room.close();
    assert.equal(arena.freeChunks, 2);
    assert.equal(released, 1);
  });
});

const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "pc.ram", bytes: 256 * PAGE_BYTES },
  { index: 1, name: "vga", bytes: 16 * PAGE_BYTES },
];

/** A coding engine with a guest in memory, and a target that decodes what it sends. */
function world(
  name: Exclude<EngineName, "plain">,
  pagePolicy: PolicyName = "auto",
  cacheBytes = 64 * PAGE_BYTES,
) {
  const memory = sourceMemory(ENGINES[name], pagePolicy, cacheBytes);
  const { kernels } = memory;
  const { link, outgoing } = fakeLink();
  const engine = makeEngine(
    { engine: name, pagePolicy, pushOrder: "auto" },
    {
      ...{ memory, outgoing, colliding: undefined },
      settle: () => proof.settle(),
      tell: (block, offset, at) => proof.told(block, offset, at),
      untell: (block, offset, oldLo, oldHi) => proof.untold(block, offset, oldLo, oldHi),
      room: () => undefined,
      settled: () => undefined,
      link: () => ({ inFlightBytes: 0, deliveredBytesPerSec: 1e6 }) as LinkStats,
    },
  );
  const proof = new MemoryProof(kernels, { low: 1, high: 2 }, engine.hashed);
  proof.setBlocks(BLOCKS);
  engine.agree(cacheBytes);
  engine.setBlocks(BLOCKS);
  const guest = new Map<number, Uint8Array>();

  /** One run of records, as QEMU's stream would tell it. */
  function run(block: RamBlock, pages: readonly (readonly [number, Uint8Array | undefined])[]): void {
    const start = memory.stream.take()!;
    let at = start;
    let previous: RamBlock | undefined;
    for (const [page, content] of pages) {
      const kind = content === undefined ? PageKind.zero : PageKind.page;
      const body = content ?? bytes(1, 0);
      const head = { block, offset: page * PAGE_BYTES, kind, bodyBytes: body.length, previous };
      const bodyAt = putRecordHead(kernels.bytes, at, head);
      kernels.bytes.set(body, bodyAt);
      engine.page(block, head.offset, kind);
      proof.page(block, head.offset, kind, kernels.bytes, bodyAt, bodyAt + body.length);
      at = bodyAt + body.length;
      previous = block;
      guest.set(block.index * 1000 + page, content ?? bytes(PAGE_BYTES, 0));
    }
    engine.records(kernels.bytes, start, at, undefined);
    memory.stream.release(start);
  }

  /** The newest version of each page as the target got it, once nothing is being packed any more. */
  async function arrived(): Promise<Map<number, Uint8Array>> {
    while (outgoing.waitingBytes > 0) await sleep(1);
    const target = loadKernels({ memoryBytes: 8 * 2 ** 20 });
    const numbers = new PageNumbers(BLOCKS);
    const bodyAt = target.freeStart;
    const outAt = bodyAt + 2 ** 17;
    const store = new SlottedStore(
      target,
      { start: outAt + 2 ** 20, bytes: engine.figures()!.cacheBytes },
      numbers.total,
    );
    const got = new Map<number, Uint8Array>();
    const decoder = new PageDecoder(target, store, numbers, {
      page: (block, offset, address) =>
        void got.set(
          block.index * 1000 + offset / PAGE_BYTES,
          target.bytes.slice(address, address + PAGE_BYTES),
        ),
      zero: (block, offset) => void got.set(block.index * 1000 + offset / PAGE_BYTES, bytes(PAGE_BYTES, 0)),
      missing: (page) => assert.fail(`page ${page} lacks its base`),
    });
    for (const { kind, parts, acked } of link.sent) {
      if (kind !== DataKind.pages) continue;
      const payload = Buffer.concat(parts as Uint8Array[]);
      const prefix = decodePagesPrefix(payload);
      assert.ok(typeof prefix !== "string", String(prefix));
      const packed = payload.subarray(PAGES_PREFIX_BYTES);
      target.bytes.set(prefix.form === PagesForm.zstd ? zstdDecompressSync(packed) : packed, bodyAt);
      const { bodyBytes, entries, form } = prefix;
      const body = { at: bodyAt, bytes: bodyBytes, entries, repair: form === PagesForm.repair };
      decoder.decode(body, outAt, PAGES_OUTPUT_BYTES_MAX, undefined);
      acked();
    }
    return got;
  }
  return { engine, outgoing, link, memory, run, guest, arrived };
}

const [RAM, VGA] = BLOCKS as [RamBlock, RamBlock];
/** Compressible, and different for each page and version. */
const page = (n: number, version = 0): Uint8Array => {
  const content = Buffer.alloc(PAGE_BYTES, `page ${n} `);
  content.writeUInt32LE(version * 1000 + n, 100);
  return content;
};
/** By page; a difference of whole contents would print for minutes. */
function assertSame(got: ReadonlyMap<number, Uint8Array>, wanted: ReadonlyMap<number, Uint8Array>): void {
  const differ = [...wanted].filter(([n, content]) => !Buffer.from(content).equals(got.get(n) ?? bytes(0)));
  assert.deepEqual(
    differ.map(([n]) => n),
    [],
  );
  assert.equal(got.size, wanted.size);
}
const kinds = (sent: readonly { kind: DataKind }[]): DataKind[] => sent.map(({ kind }) => kind);

describe("the coding engine", () => {
  const names = Object.keys(ENGINES) as Exclude<EngineName, "plain">[];
  for (const name of names) {
    for (const policy of ["auto", "stream", "weight"] as const) {
      test(`${name}, policy ${policy}: at a barrier the target has the newest version of each page`, async () => {
        const { engine, run, guest, arrived, memory, outgoing } = world(name, policy);
        for (let pass = 0; pass < 4; pass++) {
          for (let i = 0; i < 256; i += 16)
            run(
              RAM,
              Array.from({ length: 16 }, (_, k) => [
                i + k,
                (i + k) % 7 === pass ? undefined : page(i + k, (i + k) % 3 === 0 ? pass : 0),
              ]),
            );
          run(VGA, [
            [3, page(3, pass)],
            [4, randomBytes(PAGE_BYTES)],
          ]);
        }
        engine.barrier("end");
        assertSame(await arrived(), guest);
        assert.equal(engine.heldBytes, 0);
        outgoing.ended();
        engine.close();
        assert.equal(memory.batches!.freeChunks, memory.batches!.chunks, "every body was given back");
        assert.equal(memory.stream.freeChunks, memory.stream.chunks);
        const { forms, unchanged, superseded } = engine.figures()!;
        const counted = Object.values(forms).reduce((sum, form) => sum + form.pages, 0);
        assert.equal(counted + unchanged + superseded, 4 * 258, "each version is accounted for");
      });
    }
  }

  test("what is not a page waits for the batch before it, and a batch does not wait for more than a moment", async () => {
    const { engine, outgoing, link, run } = world("clark", "stream");
    run(RAM, [[0, page(0)]]);
    engine.flush();
    outgoing.send(DataKind.stream, [bytes(1)]);
    await sleep(20);
    run(RAM, [[1, page(1)]]);
    assert.deepEqual(kinds(link.sent), [DataKind.pages, DataKind.stream]);
    await sleep(50);
    assert.deepEqual(kinds(link.sent), [DataKind.pages, DataKind.stream, DataKind.pages]);
    engine.close();
  });

  test("after the turn to post-copy, and for pages that QEMU encoded, its own records leave", async () => {
    const { engine, outgoing, link, run, memory } = world("auto");
    run(RAM, [[0, page(0)]]);
    const start = memory.stream.take()!;
    engine.page(RAM, PAGE_BYTES, PageKind.xbzrle);
    engine.records(memory.kernels.bytes, start, start + 20, undefined);
    memory.stream.release(start);
    engine.barrier("discard");
    run(RAM, [[2, page(2)]]);
    while (outgoing.waitingBytes > 0) await sleep(1);
    assert.deepEqual(kinds(link.sent), [DataKind.pages, DataKind.records, DataKind.records]);
    assert.equal(engine.figures()!.passed, 2);
    engine.close();
  });

  test("what QEMU encoded is no base any more", async () => {
    const { engine, run, memory } = world("auto");
    run(RAM, [[0, page(0)]]);
    const start = memory.stream.take()!;
    engine.page(RAM, 0, PageKind.xbzrle);
    engine.records(memory.kernels.bytes, start, start + 20, undefined);
    memory.stream.release(start);
    run(RAM, [[0, page(0)]]);
    const { unchanged, forms } = engine.figures()!;
    assert.deepEqual(
      { unchanged, raw: forms.raw.pages, delta: forms.delta.pages },
      { unchanged: 0, raw: 2, delta: 0 },
    );
    engine.close();
  });

  test("a page that the target lacks the base of goes again as it is, behind all that is queued", async () => {
    const { engine, link, run, arrived, guest } = world("auto");
    run(RAM, [
      [0, page(0)],
      [1, page(1)],
      [2, undefined],
    ]);
    run(RAM, [[0, page(0, 1)]]);
    engine.again([0, 1, 2]);
    assertSame(await arrived(), guest);
    const last = decodePagesPrefix(Buffer.concat(link.sent.at(-1)!.parts as Uint8Array[]));
    assert.deepEqual(last, { form: PagesForm.repair, entries: 2, bodyBytes: 2 * (1 + 1 + PAGE_BYTES) - 1 });
    assert.equal(engine.figures()!.repaired, 2);
    assert.throws(() => engine.again([200]), { code: "BASE_LOST" });
    assert.throws(() => engine.again([1_000_000]), { code: "LINK_FRAME" });
    engine.close();
  });
});
