/**
 * Goal: whatever comes in `pages` frames, a target QEMU is given whole versions in the order of sending or nothing at
 * all of the frame that broke a rule; the rule is named at both ends; a base that is missing is asked for, and no digest
 * is compared before it has come.
 * Method: a real target relay on loopback, between something that listens as QEMU and keeps every byte, and a source that
 * encodes with the real encoder and then sends what a test wants. What QEMU was given is read with the stream's reader.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { GodwitError } from "../../src/errors/mod.ts";
import { type RelayEvent, type RunningRelay, startRelay } from "../../src/relay/mod.ts";
import { emptyEnd, encodeAdvise, encodeDiscard, type RamBlock } from "../../src/stream/mod.ts";
import {
  DataKind,
  decodeAgain,
  decodeProof,
  EntryForm,
  PAGES_BODY_BYTES_MAX,
  PagesForm,
  putVarint,
} from "../../src/wire/mod.ts";
import { ListeningQemu, loadedPages, PagesSource, packed, pagesFrame, RAM_ID } from "../tools/pagesSource.ts";
import { temporaryFolder } from "../tools/relayCli.ts";
import { hash } from "../tools/stream.ts";

const LIMIT = { timeout: 60_000 };
const PAGE_BYTES = 4096;
/** Places of barriers in digests (docs/wire.md). */
const DISCARD = 1;
const END = 3;
const STOP = new GodwitError("INTERRUPTED", { signal: "the test" });
/** 64 pages, and a block so large that a frame could name more zeros than a frame may stand for. */
const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "pc.ram", bytes: 64 * PAGE_BYTES },
  { index: 1, name: "vga", bytes: 120_000 * PAGE_BYTES },
];
const { zero: ZERO, delta: DELTA, sparse: SPARSE, wkdm: WKDM, raw: RAW } = EntryForm;

const folder = temporaryFolder();
const path = join(folder.path, "in.sock");
let qemu: ListeningQemu;
let relay: RunningRelay;
const events: RelayEvent[] = [];
/** What the test hook does, when a test sets it. */
let loseBase: (() => boolean) | undefined;

before(async () => {
  qemu = await ListeningQemu.listen(path);
  relay = await startRelay(
    {
      ...{ side: "target", listen: "127.0.0.1:0", forward: path, pageCacheBytes: 2 ** 20 },
      ...{ insecure: false, reconnectForMs: 1000, postcopyReconnectForMs: 0, ticket: "" },
    },
    {
      event: (event) => events.push(event),
      log: () => undefined,
      loseBase: () => loseBase?.() ?? false,
    },
  );
});
after(async () => {
  await relay.close(STOP);
  await qemu[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

let last: PagesSource | undefined;

/** A new session; one that a failed test left behind is over. */
async function connected(pageCacheBytes = 2 ** 20): Promise<PagesSource> {
  await last?.abort(STOP);
  loseBase = undefined;
  events.length = 0;
  last = await PagesSource.connect({ to: relay.address, blocks: BLOCKS, pageCacheBytes });
  return last;
}

/** A session whose blocks are announced. `start`: bytes that QEMU has been given so far. */
async function begun(
  between?: readonly Uint8Array[],
  pageCacheBytes?: number,
): Promise<{ source: PagesSource; start: number }> {
  const source = await connected(pageCacheBytes);
  const start = source.announce(between).length;
  await qemu.heardBytes(start);
  return { source, start };
}

/** How the relay said that it ended, after the link's end. */
async function endedAtTarget(): Promise<{ code: string; rule: unknown } | null> {
  for (let i = 0; i < 500; i++) {
    const ended = events.find((event) => event.event === "ended");
    if (ended !== undefined) return ended.error && { code: ended.error.code, rule: ruleOf(ended.error) };
    await sleep(10);
  }
  throw new Error("the relay did not end");
}

function ruleOf(error: { readonly fields: object }): unknown {
  return "rule" in error.fields ? error.fields.rule : undefined;
}

/** The frame is the session's end, by this rule, at both ends; QEMU has not one byte of it. */
async function refused(source: PagesSource, rule: string, heard: number): Promise<void> {
  const error = await source.ended;
  assert.ok(error?.code === "LINK_FRAME", `${rule}: ${error?.message}`);
  assert.equal(ruleOf(error), rule);
  assert.deepEqual(await endedAtTarget(), { code: "LINK_FRAME", rule });
  assert.equal(qemu.bytes, heard, `${rule}: nothing of the frame reaches QEMU`);
}

function filled(byte: number): Uint8Array {
  return new Uint8Array(PAGE_BYTES).fill(byte);
}

/** Bytes that no encoding makes shorter. */
function noise(seed: number): Uint8Array {
  let state = seed * 2 + 1;
  return Uint8Array.from({ length: PAGE_BYTES }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

/** A changed copy: a few words of it. */
function touched(page: Uint8Array, by: number): Uint8Array {
  const copy = page.slice();
  for (let at = 100; at < 3000; at += 700) copy[at] = copy[at]! ^ (by | 1);
  return copy;
}

function bytesOf(...parts: (number | Uint8Array)[]): Uint8Array {
  return Buffer.concat(parts.map((part) => (typeof part === "number" ? Uint8Array.of(part) : part)));
}

function varint(value: number): Uint8Array {
  const out = new Uint8Array(5);
  return out.subarray(0, putVarint(out, 0, value));
}

const plain = (body: Uint8Array, entries = 1) => pagesFrame(PagesForm.plain, body, { entries });
const rawEntry = bytesOf(RAW, 0, filled(1));

/** Frames that break a rule, each by its own. A base of page 0 is at the target. */
const BROKEN: Record<string, () => Uint8Array> = {
  pages_too_short: () => new Uint8Array(7),
  pages_form: () => bytesOf(4, plain(rawEntry).subarray(1)),
  pages_reserved: () => bytesOf(0, 1, plain(rawEntry).subarray(2)),
  pages_empty: () => new Uint8Array(8),
  pages_body_too_large: () => bytesOf(0, 0, 0, 1, 0, 1, 255, 249, new Uint8Array(10)),
  pages_length: () => pagesFrame(PagesForm.plain, rawEntry, { bodyBytes: rawEntry.length - 1 }),
  entry_form: () => plain(bytesOf(6, 0)),
  entry_truncated: () => plain(rawEntry.subarray(0, 4000)),
  entry_next_first: () => plain(bytesOf(0x80 | RAW, filled(1))),
  entry_number: () => plain(bytesOf(ZERO, 0xff, 0xff, 0xff, 0xff, 0x7f, 1)),
  entry_page: () => plain(bytesOf(RAW, varint(64 + 120_000), filled(1))),
  entry_run: () => plain(bytesOf(ZERO, 60, 5)),
  entry_body_empty: () => plain(bytesOf(SPARSE, 0, 0)),
  entry_repair: () => pagesFrame(PagesForm.repair, bytesOf(ZERO, 0, 1)),
  entries_left_over: () => plain(bytesOf(rawEntry, 0)),
  entries_output: () => plain(bytesOf(ZERO, 64, varint(110_000))),
  delta_run_outside_page: () => plain(bytesOf(rawEntry, DELTA, 0, 3, 0xff, 0xff, 1), 2),
  sparse_word_outside_page: () => plain(bytesOf(rawEntry, SPARSE, 1, 4, 0x3f, 0xff, 0x7f, 1), 2),
  wkdm_length: () => plain(bytesOf(rawEntry, WKDM, 1, 5, 1, 2, 3, 4, 5), 2),
  pages_zstd: () => pagesFrame(PagesForm.zstd, Buffer.from("no such thing"), { bodyBytes: 500 }),
  pages_unpacked_size: () => {
    const body = bytesOf(rawEntry);
    return pagesFrame(PagesForm.zstd, packed(body), { bodyBytes: body.length - 1 });
  },
};
for (const [rule, frame] of Object.entries(BROKEN)) {
  test(`a frame that breaks ${rule} ends the move, and QEMU hears nothing of it`, LIMIT, async () => {
    const { source, start } = await begun();
    source.batch([[0, noise(0)]]);
    const heard = start + 5 + 8 + 7 + PAGE_BYTES + 13;
    await qemu.heardBytes(heard);
    source.send(DataKind.pages, frame());
    await refused(source, rule, heard);
  });
}

const body120 = Buffer.concat(Array.from({ length: 29 }, (_, i) => bytesOf(RAW, i, filled(i + 1))));
const BOMBS: Record<string, { rule: string; frame: () => Uint8Array }> = {
  "unpacks to more than it says": {
    rule: "pages_unpacked_size",
    frame: () =>
      pagesFrame(PagesForm.zstd, bytesOf(packed(body120), packed(body120)), { bodyBytes: 130_000 }),
  },
  "unpacks to 100 MiB": {
    rule: "pages_zstd",
    frame: () =>
      pagesFrame(PagesForm.zstd, packed(new Uint8Array(100 * 2 ** 20)), { bodyBytes: PAGES_BODY_BYTES_MAX }),
  },
  "unpacks to less than it says": {
    rule: "pages_unpacked_size",
    frame: () => pagesFrame(PagesForm.zstd, packed(body120), { entries: 29, bodyBytes: body120.length + 1 }),
  },
  "asks for a window of 2 MiB": {
    rule: "pages_zstd",
    frame: () => {
      // The window's size is the sixth byte: 58 means 2^21. Only a frame that does not say its length has it.
      const small = Buffer.from("28b52ffd0058010000", "hex");
      return pagesFrame(PagesForm.zstd, small, { entries: 29, bodyBytes: body120.length });
    },
  },
  "has bytes behind its zstd frame": {
    rule: "pages_zstd",
    frame: () =>
      pagesFrame(PagesForm.zstd, bytesOf(packed(body120), 1, 2, 3), {
        entries: 29,
        bodyBytes: body120.length,
      }),
  },
  "is cut short": {
    rule: "pages_unpacked_size",
    frame: () =>
      pagesFrame(PagesForm.zstd, packed(body120).subarray(0, -3), { entries: 29, bodyBytes: body120.length }),
  },
};
for (const [what, { rule, frame }] of Object.entries(BOMBS)) {
  test(`a packed body that ${what}: ${rule}`, LIMIT, async () => {
    const { source, start } = await begun();
    const payload = frame();
    assert.ok(payload.length < 20_000);
    source.send(DataKind.pages, payload);
    await refused(source, rule, start);
  });
}

test(
  "entries have no place before the blocks, behind the end of memory, or in post-copy",
  LIMIT,
  async () => {
    const frame = plain(rawEntry);
    {
      const source = await connected();
      source.send(DataKind.pages, frame);
      await source.ended;
      assert.deepEqual(await endedAtTarget(), { code: "LINK_FRAME", rule: "pages_before_blocks" });
    }
    {
      const { source, start } = await begun();
      source.digest(END);
      source.send(DataKind.stream, emptyEnd(RAM_ID));
      const heard = start + emptyEnd(RAM_ID).length;
      await qemu.heardBytes(heard);
      source.send(DataKind.pages, frame);
      await refused(source, "pages_after_end", heard);
    }
    {
      const { source, start } = await begun([encodeAdvise()]);
      const discard = encodeDiscard("pc.ram", [{ offset: 0, bytes: PAGE_BYTES }]);
      source.digest(DISCARD);
      source.send(DataKind.stream, discard);
      const heard = start + discard.length;
      await qemu.heardBytes(heard);
      source.send(DataKind.pages, frame);
      await refused(source, "pages_before_package", heard);
    }
    {
      // It would overtake what it leans on.
      const { source, start } = await begun();
      source.send(DataKind.pages, pagesFrame(PagesForm.answer, rawEntry));
      await refused(source, "answer_before_package", start);
    }
  },
);

/** By page: contents as they stand are too long to be shown as a difference. */
function digests(pages: ReadonlyMap<number, Uint8Array>): string[] {
  return [...pages].map(([page, content]) => `${page} ${hash(content)}`).sort();
}

/** The digests agree, and QEMU has been given the newest version of each page. Ends the memory. */
async function agreed(source: PagesSource, start: number): Promise<void> {
  const verdict = decodeProof(await source.next(DataKind.verdict));
  assert.ok(typeof verdict !== "string" && verdict.answer === 1, "the digests agree");
  await newestLoaded(source, start);
}

async function newestLoaded(source: PagesSource, start: number): Promise<void> {
  const end = Buffer.from(emptyEnd(RAM_ID));
  source.send(DataKind.stream, end);
  const deadlineMs = performance.now() + 20_000;
  while (!qemu.everything.subarray(-end.length).equals(end)) {
    assert.ok(performance.now() < deadlineMs, "the end of memory does not come");
    await sleep(5);
  }
  const loaded = loadedPages(qemu.everything.subarray(0, -end.length), start, BLOCKS);
  assert.deepEqual(digests(loaded), digests(source.newest));
}

async function arrives(source: PagesSource, start: number): Promise<void> {
  source.digest(END);
  await agreed(source, start);
  await source.abort(STOP);
  await endedAtTarget();
}

test("frames packed and plain, large and small, arrive in the order of sending", LIMIT, async () => {
  const { source, start } = await begun();
  let seed = 0;
  const newestOf = (page: number): Uint8Array => {
    const newest = source.newest.get(page % 64);
    return newest === undefined || newest.length === 0 ? noise(seed++) : newest;
  };
  for (let round = 0; round < 40; round++) {
    const content = [
      () => noise(seed++),
      (page: number) => touched(newestOf(page), round),
      (page: number) => newestOf(page + 9),
    ][round % 3]!;
    const pages = Array.from({ length: 1 + ((round * 7) % 25) }, (_, i) => (round * 5 + i) % 64);
    source.batch(
      pages.map((page) => [page, content(page)] as const),
      round % 4 !== 1,
    );
    if (round % 5 === 0) source.batch([[70 + round], [round]]);
  }
  const { raw, same, delta, zero } = source.encoder.forms;
  assert.ok(Math.min(raw.pages, same.pages, delta.pages, zero.pages) > 5, "of each form some");
  await arrives(source, start);
});

test("each page goes to its block, whether QEMU's record or an entry came before it", LIMIT, async () => {
  // Fewer slots than pages: what the two stores were told decides which bases there are.
  const { source, start } = await begun([], 8 * PAGE_BYTES);
  // 0..63 lie in the first block, from 64 on in the second.
  const pages = [1, 70, 2, 3, 71, 72, 4, 73, 5, 6, 74, 7];
  let seed = 0;
  for (const round of [15, 3, 12, 9, 6, 0, 10, 5])
    for (const [i, page] of pages.entries()) {
      if (((round >> (i % 4)) & 1) === 0) source.batch([[page, noise(seed++)]]);
      else source.pass(page, noise(seed++), i % 3 > 0);
    }
  // What came as a record is no base any more; what came as an entry is.
  for (const page of pages) source.batch([[page, touched(source.newest.get(page)!, 6)]]);
  assert.ok(source.encoder.forms.delta.pages > 0);
  await arrives(source, start);
});

test("a QEMU that does not read holds the link back, and nothing is lost", LIMIT, async () => {
  qemu.reads = false;
  const source = await connected();
  const start = source.announce().length;
  for (let i = 0; i < 60; i++)
    source.batch(
      Array.from({ length: 25 }, (_, page) => [page, noise(100 * i + page)] as const),
      i % 2 === 0,
    );
  await sleep(300);
  const { acked } = source;
  // 6 MB in all: QEMU's socket takes about 200 KiB.
  assert.ok(acked < 20, `${acked} frames released without a reader`);
  qemu.reads = true;
  await arrives(source, start);
});

test("a missing base is asked for once, and the digest waits for it", LIMIT, async () => {
  const { source, start } = await begun();
  const first = noise(1);
  source.batch([
    [3, first],
    [4, noise(2)],
  ]);
  let bases = 0;
  loseBase = () => ++bases === 1;
  source.batch([[3, touched(first, 2)]]);
  // Its base is the version that is missing: that was asked for already.
  source.batch([[3, touched(first, 4)]]);
  source.batch([[5, noise(9)]]);
  assert.ok(source.encoder.forms.delta.pages >= 2, "they lean on what the target has");
  assert.deepEqual(decodeAgain(await source.next(DataKind.again)), [3]);
  source.digest(END);
  await sleep(100);
  assert.deepEqual(
    source.heard.map(({ kind }) => kind),
    [],
    "neither a verdict nor another question",
  );
  source.repair([3]);
  await agreed(source, start);
  // A repair for what was made good in another way comes late, and does no harm.
  const { bytes } = qemu;
  source.repair([4]);
  while (source.acked < source.sent) await sleep(5);
  assert.equal(qemu.bytes, bytes);
  await source.abort(STOP);
  await endedAtTarget();
});

test("a repair that is already behind the digest in the queue is found", LIMIT, async () => {
  const { source, start } = await begun();
  source.batch([[3, noise(1)]]);
  await qemu.heardBytes(start + PAGE_BYTES);
  loseBase = () => true;
  source.batch([[3, touched(noise(1), 2)]]);
  source.digest(END);
  source.repair([3]);
  await agreed(source, start);
  await source.abort(STOP);
  await endedAtTarget();
});

test(
  "a page that comes whole needs no repair; as long as one is missing the link's end is the error",
  LIMIT,
  async () => {
    const { source, start } = await begun();
    source.batch([
      [3, noise(1)],
      [4, noise(2)],
    ]);
    await qemu.heardBytes(start + 2 * PAGE_BYTES);
    loseBase = () => true;
    source.batch([
      [3, touched(noise(1), 2)],
      [4, touched(noise(2), 2)],
    ]);
    source.batch([[3], [5, noise(3)]]);
    assert.deepEqual(decodeAgain(await source.next(DataKind.again)), [3, 4]);
    source.digest(END);
    await sleep(100);
    assert.equal(source.heard.length, 0);
    await source.abort(STOP);
    assert.deepEqual(await endedAtTarget(), { code: "INTERRUPTED", rule: undefined });
    const loaded = loadedPages(qemu.everything, start, BLOCKS);
    assert.deepEqual(loaded.get(3), new Uint8Array(0), "zeros, as sent last");
    assert.deepEqual(loaded.get(4), noise(2), "as it was");
  },
);

test("bytes changed at random: a named rule, or a digest that tells", { timeout: 120_000 }, async () => {
  const damage = fc.array(
    fc.record({ at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), to: fc.nat(255) }),
    { minLength: 1, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(damage, fc.boolean(), fc.nat(1000), async (damage, packs, seed) => {
      const { source, start } = await begun();
      source.batch(Array.from({ length: 6 }, (_, page) => [page, noise(seed + page)] as const));
      source.begin(packs);
      for (let page = 0; page < 6; page++) source.add(page, touched(noise(seed + page), 2));
      source.add(6, filled(seed));
      source.add(7);
      source.add(8, noise(seed + 2));
      const payload = Buffer.from(source.finish(packs));

      for (const { at, to } of damage) payload[Math.floor(at * payload.length)] = to;
      source.send(DataKind.pages, payload);
      source.digest(END);
      const answered = source.next(DataKind.verdict).catch(() => undefined);
      const how = await Promise.race([
        source.ended,
        answered,
        source.next(DataKind.again).catch(() => undefined),
      ]);
      if (how instanceof GodwitError) {
        assert.ok(how.code === "LINK_FRAME" || how.code === "DIGEST_MISMATCH", how.message);
      } else if (how?.length === 16) {
        const proof = decodeProof(how);
        assert.ok(typeof proof !== "string");
        // A body can be written in more than one way.
        if (proof.answer === 1) await newestLoaded(source, start);
      }
      await source.abort(STOP);
      await endedAtTarget();
    }),
    { numRuns: 40, seed: 4 },
  );
});
