/**
 * Goal: the reader tells a stream's structure, pages and barriers as QEMU's format has them, and the writers give the
 * same bytes back.
 * Method: small golden streams written by hand (test/vectors, a comment per byte range), compared event by event.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concat,
  type Element,
  emptyEnd,
  encodeAdvise,
  encodeBlockList,
  encodeCommand,
  encodeConfiguration,
  encodeDiscard,
  encodeHeader,
  encodeRecord,
  encodeRecvBitmap,
  encodeSectionFull,
  encodeSectionStart,
  explicitFirst,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
  RamRecordReader,
  StreamReader,
} from "../../src/stream/mod.ts";
import { readAll, rewrite, vector } from "../tools/stream.ts";

const structure = (log: readonly unknown[]) =>
  log.slice(0, -1).map((entry) => {
    const { type, name, barrier, run, length } = entry as Record<string, unknown>;
    return barrier ? `(${barrier})` : run ? `${run} ${length}` : name ? `${type} ${name}` : type;
  });

test("a pre-copy stream is told element by element, pages in place, END as one empty section", () => {
  const { recorder, fault } = readAll(vector("stream-precopy"));
  assert.equal(fault, undefined);
  assert.deepEqual(structure(recorder.done()), [
    ...["header", "bytes 8", "configuration", "bytes 47"],
    ...["command OPEN_RETURN_PATH", "bytes 5", "command PING", "bytes 9"],
    ...["sectionStart ram", "bytes 17", "ramBlocks", "bytes 36", "sectionFooter", "bytes 5"],
    ...["sectionPart", "records 8221", "sectionFooter"],
    ...["sectionPart", "records 32", "sectionFooter"],
    ...["command SWITCHOVER_START", "bytes 5"],
    ...["sectionEnd", "records 9", "(end)", "sectionFooter", "bytes 18"],
    ...["sectionFull timer", "bytes 91"],
  ]);
  assert.deepEqual(recorder.counts, { zero: 2, page: 2, xbzrle: 1, compressed: 1 });
  assert.deepEqual(
    recorder.pages.map((page) => page.split(" ").slice(0, 3).join(" ")),
    ["a 0 1", "a 4096 2", "b 0 2", "b 0 3", "a 8192 4", "a 8192 1"],
  );
  const configuration = recorder.elements()[1] as Extract<Element, { type: "configuration" }>;
  assert.equal(configuration.machine, "pc");
  assert.deepEqual(configuration.subsections, [
    { name: "configuration/uuid", version: 1, data: new Uint8Array(16).fill(0x11) },
  ]);
});

test("a post-copy stream has its three barriers, and the package passes unread", () => {
  const { recorder, reader, fault } = readAll(vector("stream-postcopy"));
  assert.equal(fault, undefined);
  const log = structure(recorder.done());
  assert.deepEqual(log.slice(log.indexOf("(discard)")), [
    ...["(discard)", "command POSTCOPY_RAM_DISCARD", "bytes 25", "command PING", "bytes 9"],
    ...["(package)", "command PACKAGED", "package", "bytes 42", "command PING", "bytes 9"],
    ...["sectionPart", "records 4106", "sectionFooter"],
    ...["sectionEnd", "(end)", "sectionFooter", "bytes 18", "eof", "bytes 1"],
  ]);
  assert.deepEqual(reader.ram, {
    id: 1,
    blocks: [
      { index: 0, name: "a", bytes: 1 << 21, pageBytes: 1 << 21 },
      { index: 1, name: "b", bytes: 4096 },
      { index: 2, name: "c", bytes: 1 << 21, pageBytes: 1 << 21 },
    ],
  });
});

test("what is told, written again, gives the same bytes", () => {
  for (const name of ["stream-precopy", "stream-postcopy"]) {
    assert.deepEqual(rewrite(vector(name)), vector(name), name);
  }
});

const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "a", bytes: 0x3000 },
  { index: 1, name: "b", bytes: 0x1000 },
];
const setup = (blocks: readonly RamBlock[] = BLOCKS) =>
  concat([
    encodeHeader(),
    encodeConfiguration("pc"),
    encodeSectionStart({ id: 2, name: "ram", instance: 0, version: 4 }),
    encodeBlockList(blocks),
    partTrailer(2),
  ]);
const zeroPart = concat([
  partHeader(2),
  encodeRecord({ block: BLOCKS[0]!, offset: 0, kind: PageKind.zero, previous: undefined }, Uint8Array.of(0)),
  partTrailer(2),
]);
const device = encodeSectionFull({ id: 9, name: "dev", instance: 0, version: 1 });

test("device sections without an END of ram (background snapshot) come behind the barrier `devices`", () => {
  const { recorder, fault } = readAll(concat([setup(), zeroPart, device]));
  assert.equal(fault, undefined);
  assert.deepEqual(structure(recorder.done()).slice(-3), [
    "(devices)",
    "sectionFull dev",
    `bytes ${device.length}`,
  ]);
});

test("a device section before the memory, or another live section, turns the rest into transparent bytes", () => {
  const live = encodeSectionStart({ id: 3, name: "dirty-bitmap", instance: 0, version: 1 });
  for (const odd of [device, live]) {
    const rest = concat([odd, Uint8Array.of(0xff, 0x02, 0x00)]);
    const { recorder, fault } = readAll(concat([setup(), rest]));
    assert.equal(fault, undefined);
    assert.deepEqual(structure(recorder.done()).slice(-2), ["transparent", `bytes ${rest.length}`]);
  }
});

test("another live section after pages turns transparent behind a barrier", () => {
  const live = encodeSectionStart({ id: 3, name: "vfio", instance: 0, version: 1 });
  const { recorder, fault } = readAll(concat([setup(), zeroPart, live]));
  assert.equal(fault, undefined);
  assert.deepEqual(structure(recorder.done()).slice(-3), [
    "(devices)",
    "transparent",
    `bytes ${live.length}`,
  ]);
});

test("only the first discard is a barrier", () => {
  const discard = encodeDiscard("a", [{ offset: 0, bytes: 0x1000 }]);
  const advised = concat([encodeHeader(), encodeConfiguration("pc"), encodeAdvise(), setup().subarray(15)]);
  const { recorder, fault } = readAll(concat([advised, discard, discard]));
  assert.equal(fault?.rule, "truncated");
  const log = structure(recorder.done());
  assert.equal(log.filter((entry) => entry === "(discard)").length, 1);
  assert.equal(log.filter((entry) => entry === "command POSTCOPY_RAM_DISCARD").length, 2);
});

test("an unknown subsection of the configuration turns the stream into transparent bytes", () => {
  const configuration = encodeConfiguration("pc", [
    { name: "configuration/new", version: 1, data: Uint8Array.of(1, 2, 3) },
  ]);
  const { recorder, fault } = readAll(concat([encodeHeader(), configuration, Uint8Array.of(9)]));
  assert.equal(fault, undefined);
  const log = structure(recorder.done());
  assert.deepEqual(log, ["header", "bytes 8", "transparent", `bytes ${configuration.length + 1}`]);
});

test("with x-ignore-shared each block has its guest physical address", () => {
  const name = Buffer.from("x-ignore-shared");
  const data = concat([Uint8Array.of(0, 0, 0, 1, name.length), name]);
  const blocks = [
    { index: 0, name: "a", bytes: 0x3000, gpa: 0 },
    { index: 1, name: "b", bytes: 0x1000, gpa: 0xfffc0000 },
  ];
  const stream = concat([
    encodeHeader(),
    encodeConfiguration("pc", [{ name: "configuration/capabilities", version: 1, data }]),
    setup(blocks).subarray(8 + 7),
    zeroPart,
    emptyEnd(2),
    device,
  ]);
  const { reader, fault } = readAll(stream);
  assert.equal(fault, undefined);
  assert.deepEqual(reader.ram?.blocks, blocks);
  assert.deepEqual(rewrite(stream), Buffer.from(stream));
});

test("a resumed post-copy stream begins with commands; RAM needs the blocks of the first connection", () => {
  const stream = concat([encodeRecvBitmap("a"), encodeCommand(9), zeroPart, emptyEnd(2), Uint8Array.of(0)]);
  const known = readAll(stream, [], { resume: { id: 2, blocks: BLOCKS } });
  assert.equal(known.fault, undefined);
  assert.equal(known.recorder.counts.zero, 1);
  assert.deepEqual(rewrite(stream, { resume: { id: 2, blocks: BLOCKS } }), Buffer.from(stream));
  const unknown = readAll(stream);
  assert.equal(unknown.fault, undefined);
  assert.equal(unknown.recorder.counts.zero, 0);
  assert.ok(structure(unknown.recorder.done()).includes("transparent"));
});

test("a fault stays: every later call throws the same", () => {
  const reader = new StreamReader({ bytes() {}, page() {}, records() {}, barrier() {} });
  const seen: unknown[] = [];
  for (const call of [
    () => reader.push(Buffer.from("GET /"), 0, 5),
    () => reader.push(setup(), 0, 8),
    () => reader.end(),
  ]) {
    assert.throws(call, (error: Error) => seen.push(error) > 0);
  }
  assert.equal(new Set(seen).size, 1);
});

test("records that stand alone: explicitFirst names the block exactly when the receiver would take another", () => {
  const [a, b] = BLOCKS as [RamBlock, RamBlock];
  const body = new Uint8Array(4096).fill(7);
  const leaning = encodeRecord({ block: a, offset: 0x1000, kind: PageKind.page, previous: a }, body);
  const naming = encodeRecord({ block: a, offset: 0x1000, kind: PageKind.page, previous: b }, body);
  assert.equal(explicitFirst(leaning, 0, a, a), undefined);
  assert.equal(explicitFirst(naming, 0, undefined, b), undefined);
  for (const previous of [b, undefined]) {
    const head = explicitFirst(leaning, 0, a, previous);
    assert.deepEqual(concat([head!, leaning.subarray(8)]), naming);
  }
});

test("frames of records: each stands alone with its context, and the last block is known for the next", () => {
  const [a, b] = BLOCKS as [RamBlock, RamBlock];
  const told: string[] = [];
  const reader = new RamRecordReader(BLOCKS, {
    page: (block, offset) => told.push(`${block.name} ${offset}`),
  });
  const zero = Uint8Array.of(0);
  const run = concat([
    encodeRecord({ block: a, offset: 0x2000, kind: PageKind.zero, previous: a }, zero),
    encodeRecord({ block: b, offset: 0, kind: PageKind.zero, previous: a }, zero),
  ]);
  reader.push(run, 0, run.length, a);
  assert.equal(reader.lastBlock?.name, "b");
  const next = encodeRecord({ block: a, offset: 0, kind: PageKind.zero, previous: a }, zero);
  reader.push(concat([zero, next]), 1, 1 + next.length, a);
  assert.deepEqual(told, ["a 8192", "b 0", "a 0"]);
});
