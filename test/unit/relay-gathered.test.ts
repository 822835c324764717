/**
 * Goal: pages that come after post-copy was ordered wait for it, and the target is told to throw its versions away; at each
 * barrier both sides' digests are equal, each missing page crosses once, and the newest version of each page arrives; also
 * where QEMU discards some of them itself, where they come again meanwhile, and where no post-copy comes of it.
 * Method: QEMU's stream by hand, through the source's stream, engine and pager into the target's stream, in this process,
 * with a link that acknowledges at once. Random guests and orders (fast-check). No QEMU.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { loadKernels, PAGE_BYTES } from "../../kernels/mod.ts";
import type { LinkStats } from "../../src/link/mod.ts";
import { ENGINES, type PolicyName } from "../../src/pages/mod.ts";
import { PageSet } from "../../src/paging/mod.ts";
import { sourceMemory } from "../../src/relay/engine/layout.ts";
import { makeEngine } from "../../src/relay/engine/make.ts";
import { Outgoing } from "../../src/relay/engine/outgoing.ts";
import { firewallOf } from "../../src/relay/firewall.ts";
import { Meter } from "../../src/relay/meter.ts";
import { Gathered } from "../../src/relay/pager/gathered.ts";
import { MemoryProof } from "../../src/relay/proof.ts";
import { SourceStream } from "../../src/relay/sourceStream.ts";
import { TargetStream } from "../../src/relay/targetStream.ts";
import {
  Command,
  concat,
  decodeDiscard,
  emptyEnd,
  encodeAdvise,
  encodeBlockList,
  encodeCommand,
  encodeConfiguration,
  encodeDiscard,
  encodeEof,
  encodeEos,
  encodeHeader,
  encodePackaged,
  encodePing,
  encodeRecord,
  encodeSectionFull,
  encodeSectionStart,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
} from "../../src/stream/mod.ts";
import {
  DataKind,
  decodePagesPrefix,
  decodeProof,
  PAGES_PREFIX_BYTES,
  PagesForm,
} from "../../src/wire/mod.ts";

const RAM_ID = 2;
const PAGES = 300;
const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "pc.ram", bytes: 256 * PAGE_BYTES },
  { index: 1, name: "vga", bytes: 44 * PAGE_BYTES },
];
/** LISTEN, a device, PING 3, RUN. */
const PACKAGE = concat([
  encodeCommand(Command.postcopyListen),
  encodeSectionFull({ id: 7, name: "dev", instance: 0, version: 1 }),
  Buffer.from("state"),
  footer(7),
  encodePing(3),
  encodeCommand(Command.postcopyRun),
]);
const SEED = { low: 5, high: 6 };

/** A version of a page by a number; 0: zeros. */
function contentOf(page: number, version: number): Uint8Array {
  const bytes = new Uint8Array(PAGE_BYTES);
  if (version === 0) return bytes;
  for (let i = 0; i < PAGE_BYTES; i += 64) bytes[i] = (page * 7 + version * 13 + i) % 256;
  bytes[5] = 1;
  return bytes;
}

/** Keeps what QEMU is given. */
class Watching extends MemoryProof {
  readonly newest = new Map<number, Uint8Array>();
  override page(...told: Parameters<MemoryProof["page"]>): void {
    const [block, offset, kind, buffer, start, end] = told;
    const content = kind === PageKind.zero ? new Uint8Array(PAGE_BYTES) : buffer.slice(start, end);
    this.newest.set(block.index * 256 + offset / PAGE_BYTES, content);
    super.page(...told);
  }
}

function world(policy: PolicyName = "auto", poolPages = 256) {
  const memory = sourceMemory(ENGINES.auto, policy, 64 * PAGE_BYTES, poolPages * PAGE_BYTES);
  const { kernels } = memory;
  const target = loadKernels({ memoryBytes: 8 * 2 ** 20 });
  const bodyAt = target.freeStart;
  const outAt = bodyAt + 2 ** 17;
  const targetProof = new Watching(target, SEED);
  const targetStream = new TargetStream({
    kernels: target,
    store: { start: outAt + 2 ** 20, bytes: 64 * PAGE_BYTES },
    proof: targetProof,
    meter: new Meter("target"),
    ramKnown: () => undefined,
    firewall: firewallOf(undefined),
  });
  const verdicts: string[] = [];
  const discarded = new PageSet(PAGES);

  /** What the target does with a frame. */
  function arrive(kind: DataKind, payload: Buffer): void {
    if (kind === DataKind.stream) return void targetStream.streamFrame(payload);
    if (kind === DataKind.records) return void targetStream.recordsFrame(copied(payload));
    if (kind === DataKind.digest) {
      const { barrier, verdict, mismatch } = targetStream.digestFrame(payload);
      verdicts.push(`${barrier} ${mismatch === undefined ? "equal" : "differs"}`);
      assert.notEqual(decodeProof(verdict), undefined);
      return;
    }
    assert.equal(kind, DataKind.pages);
    const prefix = decodePagesPrefix(payload);
    assert.ok(typeof prefix !== "string", String(prefix));
    const packed = payload.subarray(PAGES_PREFIX_BYTES);
    target.bytes.set(prefix.form === PagesForm.zstd ? zstdDecompressSync(packed) : packed, bodyAt);
    const { bodyBytes: bytes, entries } = prefix;
    targetStream.pagesFrame({ at: bodyAt, bytes, entries, repair: false }, outAt);
  }
  /** Whole pages are hashed where they lie: in the kernels' memory. */
  function copied(payload: Buffer): Uint8Array {
    target.bytes.set(payload, bodyAt);
    return target.bytes.subarray(bodyAt, bodyAt + payload.length);
  }

  /** What the guest has. */
  const truth = new Map<number, number>();
  let settled = false;
  const behind: { kind: DataKind; parts: readonly Uint8Array[] }[] = [];
  let drained = false;
  const outgoing = new Outgoing({
    send: (kind, parts, acked) => {
      arrive(kind, Buffer.concat(parts));
      queueMicrotask(acked);
      return true;
    },
    room: () => undefined,
    now: () => performance.now(),
  });
  const engine = makeEngine(
    { engine: "auto", pagePolicy: policy, pushOrder: "auto" },
    {
      ...{ memory, outgoing, colliding: undefined },
      settle: () => proof.settle(),
      tell: (block, offset, at) => proof.told(block, offset, at),
      untell: (block, offset, oldLo, oldHi) => proof.untold(block, offset, oldLo, oldHi),
      room: () => undefined,
      settled: () => {
        settled = true;
        for (const { kind, parts } of behind) outgoing.send(kind, parts);
      },
      link: () => ({ inFlightBytes: 0, deliveredBytesPerSec: 1e8, roundTripMsMin: 1 }) as LinkStats,
    },
  );
  const proof = new MemoryProof(kernels, SEED, engine.hashed);
  let whole = false;
  const stream = new SourceStream(
    {
      send: (kind, parts) => {
        const own = parts.map((part) => part.slice());
        if (drained && !settled) behind.push({ kind, parts: own });
        else outgoing.send(kind, own);
      },
      element: (element) => {
        if (element.type !== "command" || element.name !== "POSTCOPY_RAM_DISCARD") return;
        const discard = decodeDiscard(element.payload, BLOCKS)!;
        for (const { offset, bytes } of discard.ranges)
          discarded.addRange(discard.block.index * 256 + offset / PAGE_BYTES, bytes / PAGE_BYTES);
      },
      barrier: () => undefined,
      ramKnown: () => undefined,
      drained: () => {
        drained = engine.serving;
      },
      whole: () => {
        whole = true;
      },
      advised: () => undefined,
    },
    proof,
    engine,
    new Meter("source"),
  );
  engine.agree(64 * PAGE_BYTES);

  /** QEMU writes this. */
  function write(bytes: Uint8Array): void {
    const at = memory.stream.take()!;
    kernels.bytes.set(bytes, at);
    const end = stream.reader.push(kernels.bytes, at, at + bytes.length);
    stream.settle();
    assert.equal(end, at + bytes.length);
    memory.stream.release(at);
  }
  /** One section with these versions. */
  function pages(versions: readonly (readonly [number, number])[]): void {
    for (const [page, version] of versions) truth.set(page, version);
    for (let i = 0; i < versions.length; i += 30) {
      const records = versions.slice(i, i + 30).map(([page, version]) =>
        encodeRecord(
          {
            block: BLOCKS[page < 256 ? 0 : 1]!,
            offset: (page % 256) * PAGE_BYTES,
            kind: version === 0 ? PageKind.zero : PageKind.page,
            previous: undefined,
          },
          version === 0 ? Uint8Array.of(0) : contentOf(page, version),
        ),
      );
      write(concat([partHeader(RAM_ID), ...records, partTrailer(RAM_ID)]));
    }
  }
  write(
    concat([
      ...[encodeHeader(), encodeConfiguration("pc"), encodeAdvise()],
      ...[encodeSectionStart({ id: RAM_ID, name: "ram", instance: 0, version: 4 })],
      ...[encodeBlockList(BLOCKS), encodeEos(), footer(RAM_ID)],
    ]),
  );
  return {
    ...{ engine, outgoing, pages, verdicts, write, discarded },
    /** QEMU discards these, and hands the guest over. */
    async switchOver(dirty: readonly number[]): Promise<void> {
      for (const page of dirty)
        write(
          encodeDiscard(BLOCKS[page < 256 ? 0 : 1]!.name, [
            { offset: (page % 256) * PAGE_BYTES, bytes: PAGE_BYTES },
          ]),
        );
      write(concat([encodePackaged(PACKAGE.length), PACKAGE]));
      while (outgoing.waitingBytes > 0) await sleep(1);
      engine.packageLoaded();
    },
    async end(): Promise<void> {
      write(concat([emptyEnd(RAM_ID), encodeEof()]));
      for (let i = 0; i < 500 && (outgoing.waitingBytes > 0 || engine.serving); i++) await sleep(2);
      assert.ok(whole || !engine.serving, "the end has come");
      for (const [page, version] of truth)
        assert.deepEqual(
          targetProof.newest.get(page),
          contentOf(page, version),
          `page ${page} as the guest has it`,
        );
      outgoing.ended();
      engine.close();
    },
  };
}

const everyPage = Array.from({ length: PAGES }, (_, page) => page);
const version = fc.integer({ min: 0, max: 5 });
const some = fc.uniqueArray(fc.integer({ min: 0, max: PAGES - 1 }), { maxLength: 60 });
const versions = fc.array(fc.tuple(fc.integer({ min: 0, max: PAGES - 1 }), version), { maxLength: 120 });

describe("what comes after post-copy was ordered", () => {
  for (const policy of ["auto", "weight"] as const) {
    test(`is discarded and pushed, each page once: policy ${policy}`, async () => {
      await fc.assert(
        fc.asyncProperty(versions, versions, some, async (before, after, dirty) => {
          const w = world(policy);
          w.pages(everyPage.map((page) => [page, page % 4]));
          w.pages(before);
          w.engine.gather();
          assert.ok(w.engine.gathers);
          w.pages(after);
          // At least one, or QEMU discards nothing.
          const again = dirty.length === 0 ? [7] : dirty;
          await w.switchOver(again);
          w.pages(again.map((page) => [page, 9]));
          await w.end();
          assert.deepEqual(w.verdicts, ["discard equal", "package equal", "end equal"]);
          const { outstanding, answered, pushed, gathered } = w.engine.paging()!;
          assert.equal(answered + pushed, outstanding);
          const waited = new Set(after.map(([page]) => page));
          const wanted = new Set([...again, ...waited]);
          assert.ok(outstanding >= wanted.size && gathered >= wanted.size - again.length);
        }),
        { numRuns: 40 },
      );
    });
  }

  test("so is what a policy held back before", async () => {
    const w = world("weight");
    for (let pass = 1; pass <= 4; pass++) w.pages(everyPage.map((page) => [page, pass]));
    const heldBytes = w.engine.heldBytes;
    assert.ok(heldBytes > 0);
    w.engine.gather();
    await w.switchOver([200]);
    w.pages([[200, 9]]);
    await w.end();
    assert.deepEqual(w.verdicts, ["discard equal", "package equal", "end equal"]);
    const { gathered, outstanding } = w.engine.paging()!;
    assert.ok(gathered > 0 && outstanding === gathered + 1, `${gathered} of ${outstanding}`);
  });

  test("leaves after all when QEMU ends by itself, or discards nothing", async () => {
    await fc.assert(
      fc.asyncProperty(versions, fc.boolean(), async (after, packaged) => {
        const w = world();
        w.pages(everyPage.map((page) => [page, page % 4]));
        w.engine.gather();
        w.pages(after);
        if (packaged) await w.switchOver([]);
        await w.end();
        assert.deepEqual(w.verdicts, packaged ? ["package equal", "end equal"] : ["end equal"]);
      }),
      { numRuns: 20 },
    );
  });

  test("what is more than may wait goes as always", async () => {
    const w = world("auto", 128);
    w.pages(everyPage.map((page) => [page, 1]));
    w.engine.gather();
    w.pages(everyPage.map((page) => [page, 2]));
    w.pages(everyPage.map((page) => [page, 3]));
    await w.switchOver([3]);
    w.pages([[3, 4]]);
    await w.end();
    assert.deepEqual(w.verdicts, ["discard equal", "package equal", "end equal"]);
    assert.ok(w.engine.paging()!.gathered <= 64);
  });
});

test("ranges are as long as pages are side by side, and twelve to a command", () => {
  const kernels = loadKernels({ memoryBytes: 4 * 2 ** 20 });
  const numbers = { number: (block: RamBlock, offset: number) => block.index * 256 + offset / PAGE_BYTES };
  const gathered = new Gathered(kernels, { start: kernels.freeStart, bytes: 2 ** 20 }, PAGES);
  for (const page of [0, 1, 2, 9, 255, 256, 257]) gathered.take(page, page % 2 === 0 ? 0 : kernels.freeStart);
  for (let page = 20; page < 60; page += 2) gathered.take(page, 0);
  gathered.drop(1);
  const found = [...gathered.discards(BLOCKS, numbers as never)].map((command) => {
    const { block, ranges } = decodeDiscard(command.subarray(5), BLOCKS)!;
    return {
      block: block.name,
      ranges: ranges.map(({ offset, bytes }) => [offset / PAGE_BYTES, bytes / PAGE_BYTES]),
    };
  });
  assert.deepEqual(
    found.map(({ block, ranges }) => [block, ranges.length]),
    [
      ["pc.ram", 12],
      ["pc.ram", 12],
      ["vga", 1],
    ],
  );
  assert.deepEqual(found[0]!.ranges.slice(0, 4), [
    [0, 1],
    [2, 1],
    [9, 1],
    [20, 1],
  ]);
  assert.deepEqual(found[2]!.ranges, [[0, 2]]);
});
