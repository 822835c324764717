/**
 * Goal: every broken rule of the format is refused by its name, at the offset where it is broken.
 * Method: one smallest damaged input per rule; a last test checks that no rule is without one.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  concat,
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
  encodeRecvBitmap,
  encodeSectionFull,
  encodeSectionStart,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
  RamRecordReader,
  ReturnPathReader,
  RULES,
  StreamFault,
  type StreamRule,
} from "../../src/stream/mod.ts";
import { readAll } from "../tools/stream.ts";

const a: RamBlock = { index: 0, name: "a", bytes: 0x3000 };
const b: RamBlock = { index: 1, name: "b", bytes: 0x1000 };
const BLOCKS = [a, b];
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const name = (text: string) => concat([Uint8Array.of(text.length), Buffer.from(text)]);
const capability = (text: string) => ({
  name: "configuration/capabilities",
  version: 1,
  data: concat([hex("00000001"), name(text)]),
});

const header = encodeHeader();
const head = concat([header, encodeConfiguration("pc")]);
const ram = encodeSectionStart({ id: 2, name: "ram", instance: 0, version: 4 });
const list = encodeBlockList(BLOCKS);
const setup = concat([head, ram, list, encodeEos(), footer(2)]);
const advised = concat([head, encodeAdvise(), ram, list, encodeEos(), footer(2)]);
const inPart = concat([setup, partHeader(2)]);
const ended = concat([setup, emptyEnd(2)]);
const packaged = concat([advised, encodePackaged(1), Uint8Array.of(0)]);
const zero = (block: RamBlock, offset: number) =>
  encodeRecord({ block, offset, kind: PageKind.zero, previous: undefined }, Uint8Array.of(0));
const word = (low: string, offset = "00000000 0000") => hex(`${offset}${low}`);

/** Rule; what is read before; where the rule is broken, counted from there; what breaks it. */
type Case = readonly [rule: StreamRule, before: Uint8Array, at: number, breaking: Uint8Array];

const STREAM: readonly Case[] = [
  ["magic", hex(""), 0, Buffer.from("GET / HTTP/1.1")],
  ["magic", hex(""), 0, hex("51455600 00000003")],
  ["multifd_unsupported", hex(""), 0, hex("11223344 00000001")],
  ["version", hex(""), 4, hex("5145564d 00000002")],
  ["configuration_missing", header, 0, hex("01")],
  ["configuration_length", header, 0, hex("07 00000100")],
  ["configuration_length", header, 0, hex("07 00000000")],
  [
    "configuration_subsection",
    head,
    0,
    concat([hex("05"), name("configuration/uuid"), hex("00000002"), new Uint8Array(17)]),
  ],
  [
    "configuration_subsection",
    head,
    0,
    concat([hex("05"), name("configuration/capabilities"), hex("00000001 00001000")]),
  ],
  [
    "page_bits",
    head,
    0,
    concat([hex("05"), name("configuration/target-page-bits"), hex("00000001 0000000d 00")]),
  ],
  [
    "mapped_ram_unsupported",
    header,
    7,
    concat([encodeConfiguration("pc", [capability("mapped-ram")]), hex("00")]),
  ],
  ["element_unknown", head, 0, hex("09")],
  ["element_unknown", setup, 0, hex("7e")],
  ["name_empty", head, 0, hex("01 00000001 00 00000000 00000004")],
  ["section_unknown", setup, 1, hex("02 00000003")],
  ["section_order", ended, 0, ram],
  ["section_order", packaged, 0, encodeSectionFull({ id: 1, name: "dev", instance: 0, version: 1 })],
  ["ram_twice", setup, 0, ram],
  ["ram_version", head, 0, encodeSectionStart({ id: 2, name: "ram", instance: 0, version: 5 })],
  ["ram_version", head, 0, encodeSectionStart({ id: 2, name: "ram", instance: 1, version: 4 })],
  ["part_before_start", head, 0, hex("02 00000002")],
  ["part_before_start", hex(""), 5, concat([encodeCommand(1), hex("02 00000002")])],
  ["part_after_end", ended, 0, hex("02 00000002")],
  ["footer_missing", concat([inPart, encodeEos()]), 0, hex("02")],
  ["footer_section", concat([inPart, encodeEos()]), 1, hex("7e 00000003")],
  ["eof_early", setup, 0, hex("00")],
  ["bytes_after_eof", concat([packaged, emptyEnd(2), encodeEof()]), 0, hex("00")],
  ["truncated", setup, 0, hex("")],
  ["truncated", inPart, 0, hex("00")],
  ["truncated", packaged, 0, hex("")],
  // Block list
  ["mem_size_missing", concat([head, ram]), 0, word("0010")],
  [
    "block_bytes",
    concat([head, ram, hex("00000000 00003004")]),
    0,
    concat([name("a"), hex("00000000 00000800")]),
  ],
  [
    "block_page_size",
    concat([head, encodeAdvise(), ram, hex("00000000 00003004")]),
    0,
    concat([name("a"), hex("00000000 00003000 00000000 00003000")]),
  ],
  [
    "block_sum",
    concat([head, ram, hex("00000000 00003004")]),
    0,
    concat([name("a"), hex("00000000 00004000")]),
  ],
  ["block_sum", concat([head, ram]), 0, hex("00ffffff fffff004")],
  [
    "block_twice",
    concat([head, ram, hex("00000000 00003004"), name("a"), hex("00000000 00001000")]),
    0,
    concat([name("a"), hex("00000000 00001000")]),
  ],
  ["name_empty", concat([head, ram, hex("00000000 00003004")]), 0, hex("00 00000000 00001000")],
  ["eos_missing", concat([head, ram, list]), 0, word("0008")],
  ["multifd_unsupported", concat([head, ram, list]), 0, word("0200")],
  ["rdma_unsupported", concat([head, ram, list]), 0, word("0080")],
  // RAM records
  ["record_flags", inPart, 0, word("0001")],
  ["record_flags", inPart, 0, word("000a")],
  ["record_flags", inPart, 0, word("0010", "00000000 0001")],
  ["multifd_unsupported", inPart, 0, word("0200")],
  ["mem_size_outside_start", inPart, 0, word("0004")],
  ["rdma_unsupported", inPart, 0, word("0080")],
  ["block_unknown", inPart, 0, concat([word("0002"), name("c"), hex("00")])],
  ["name_empty", inPart, 0, concat([word("0002"), hex("00")])],
  ["continue_without_block", inPart, 0, concat([word("0028"), new Uint8Array(4096)])],
  ["page_outside_block", inPart, 0, concat([word("3002"), name("a"), hex("00")])],
  ["page_outside_block", concat([inPart, zero(b, 0)]), 0, concat([word("1028"), new Uint8Array(4096)])],
  ["page_outside_block", inPart, 0, concat([word("0002", "ffffffff ffff"), name("a"), hex("00")])],
  ["zero_fill", inPart, 0, concat([word("0002"), name("a"), hex("77")])],
  ["xbzrle_header", inPart, 0, concat([word("0040"), name("a"), hex("02 0003 000155")])],
  ["xbzrle_length", inPart, 0, concat([word("0040"), name("a"), hex("01 1001")])],
  ["xbzrle_length", inPart, 0, concat([word("0040"), name("a"), hex("01 0000")])],
  ["xbzrle_body", inPart, 0, concat([word("0040"), name("a"), hex("01 0003 000255")])], // a run of 2, one byte there
  ["xbzrle_body", inPart, 0, concat([word("0040"), name("a"), hex("01 0004 ff1f0255")])], // 4095 + 2 bytes
  ["xbzrle_body", inPart, 0, concat([word("0040"), name("a"), hex("01 0003 050000")])], // an empty changed run
  [
    "xbzrle_in_postcopy",
    concat([packaged, partHeader(2)]),
    0,
    concat([word("0040"), name("a"), hex("01 0003 000155")]),
  ],
  ["compressed_length", inPart, 0, concat([word("0100"), name("a"), hex("0000100f")])],
  // Commands
  ["command_unknown", head, 0, hex("08 000c 0000")],
  ["command_length", head, 0, hex("08 0002 0003 000000")],
  ["command_length", head, 0, hex("08 0003 0008 00000000 00001000")],
  ["command_order", ended, 0, encodeAdvise()],
  ["command_order", setup, 0, encodeDiscard("a", [{ offset: 0, bytes: 4096 }])],
  ["command_order", setup, 0, encodePackaged(1)],
  ["command_order", packaged, 0, encodePackaged(1)],
  ["command_order", setup, 0, encodeCommand(9)],
  ["command_order", setup, 0, encodeRecvBitmap("a")],
  ["advise_page_size", head, 0, hex("08 0003 0010 00000000 00002000 00000000 00002000")],
  ["discard_format", advised, 0, hex("08 0006 0014 01 01 61 00 00000000 00000000 00000000 00001000")],
  ["discard_format", advised, 0, hex("08 0006 0004 00 01 61 00")],
  ["discard_format", advised, 0, hex("08 0006 0003 00 ff 61")],
  ["block_unknown", advised, 0, encodeDiscard("c", [{ offset: 0, bytes: 4096 }])],
  ["discard_range", advised, 0, encodeDiscard("a", [{ offset: 0x2000, bytes: 0x2000 }])],
  ["discard_range", advised, 0, encodeDiscard("a", [{ offset: 0x800, bytes: 4096 }])],
  ["discard_range", advised, 0, encodeDiscard("a", [{ offset: 0, bytes: 0 }])],
  ["package_length", advised, 0, encodePackaged(0)],
  ["package_length", advised, 0, encodePackaged(2 ** 30 + 1)],
  ["command_outside_package", advised, 0, encodeCommand(4)],
  ["command_outside_package", advised, 0, encodeCommand(5)],
  ["colo_unsupported", head, 0, encodeCommand(8)],
];

/** Context block; frame; where it breaks. */
const RECORDS: readonly [StreamRule, RamBlock | undefined, number, Uint8Array][] = [
  ["record_truncated", a, 10 + 1, concat([zero(a, 0), word("1022")])],
  ["record_truncated", undefined, 0, zero(a, 0).subarray(0, 9)],
  ["eos_in_records", a, 11, concat([zero(a, 0), encodeEos()])],
  ["continue_without_block", undefined, 0, concat([word("0022"), hex("00")])],
  ["page_outside_block", b, 0, concat([word("1022"), hex("00")])],
];

const shut = hex("0001 0004 00000000");
const RETURN_PATH: readonly Case[] = [
  ["message_unknown", hex(""), 0, hex("0000 0000")],
  ["message_unknown", hex(""), 0, hex("0008 0000")],
  ["message_length", hex(""), 0, hex("0002 0201")],
  ["message_length", hex(""), 0, hex("0001 0003 000000")],
  ["message_length", hex(""), 0, hex("0007 0001 00")],
  ["message_length", hex(""), 0, hex("0004 000b 00000000 00000000 000010")],
  ["message_length", hex(""), 0, hex("0003 000e 00000000 00000000 00001000 03 61")],
  ["request_without_block", hex(""), 0, hex("0004 000c 00000000 00000000 00001000")],
  ["request_range", hex(""), 0, hex("0003 000e 00000000 00003000 00001000 01 61")],
  ["request_range", hex(""), 0, hex("0003 000e 00000000 00000000 00000000 01 61")],
  ["request_range", hex(""), 0, hex("0003 000e 00000000 00000800 00001000 01 61")],
  ["block_unknown", hex(""), 0, hex("0003 000e 00000000 00000000 00001000 01 63")],
  ["name_empty", hex(""), 0, hex("0005 0001 00 00000000 00000008")],
  ["bitmap_size", hex(""), 0, hex("0005 0002 0161 00000000 00000010")],
  ["bitmap_end", hex("0005 0002 0161 00000000 00000008 0000000000000000"), 0, hex("0123456789abcdee")],
  ["resume_ack_value", hex(""), 0, hex("0006 0004 00000002")],
  ["after_shut", shut, 0, shut],
];

const seen = new Set<string>();
const refused = (rule: StreamRule, atByte: number, fault: StreamFault | undefined) => {
  assert.equal(fault?.rule, rule);
  assert.equal(fault.atByte, atByte);
  assert.equal(fault.why, RULES[rule]);
  seen.add(rule);
};

for (const [i, [rule, before, at, breaking]] of STREAM.entries()) {
  test(`stream ${i}: ${rule}`, () => {
    refused(rule, before.length + at, readAll(concat([before, breaking])).fault);
  });
}

for (const [i, [rule, context, at, frame]] of RECORDS.entries()) {
  test(`records ${i}: ${rule}`, () => {
    const reader = new RamRecordReader(BLOCKS, { page() {} });
    refused(
      rule,
      at,
      faultOf(() => reader.push(frame, 0, frame.length, context)),
    );
  });
}

for (const [i, [rule, before, at, breaking]] of RETURN_PATH.entries()) {
  test(`return path ${i}: ${rule}`, () => {
    const reader = new ReturnPathReader({ message() {}, bytes() {} }, { blocks: BLOCKS });
    const bytes = concat([before, breaking]);
    refused(
      rule,
      before.length + at,
      faultOf(() => reader.push(bytes, 0, bytes.length)),
    );
  });
}

test("limits: number of blocks, length of the package, length of a bitmap", () => {
  refused("blocks_too_many", head.length + ram.length + 18, readAll(setup, [], { blocksMax: 1 }).fault);
  const large = concat([advised, encodePackaged(101)]);
  refused("package_length", advised.length, readAll(large, [], { packageBytesMax: 100 }).fault);
  const reader = new ReturnPathReader({ message() {}, bytes() {} }, { bitmapBytesMax: 64 });
  const bitmap = hex("0005 0002 0161 00000000 00000048");
  refused(
    "bitmap_size",
    0,
    faultOf(() => reader.push(bitmap, 0, bitmap.length)),
  );
});

test("a long list of long names stays within what the caller must carry", () => {
  const blocks = Array.from({ length: 400 }, (_, index) => ({
    index,
    name: `${index}`.padEnd(250, "x"),
    bytes: 4096,
  }));
  const { fault } = readAll(concat([head, ram, encodeBlockList(blocks)]));
  assert.equal(fault?.rule, "blocks_too_many");
});

test("a broken rule in the middle of a run does not swallow the whole records before it", () => {
  const { recorder, fault } = readAll(concat([inPart, zero(a, 0), word("0001")]));
  assert.equal(fault?.rule, "record_flags");
  recorder.done();
  assert.deepEqual(recorder.log.at(-1), { ...(recorder.log.at(-1) as object), run: "records", length: 11 });
});

test("commands with nothing wrong pass", () => {
  const stream = concat([
    advised,
    encodePing(1),
    encodeDiscard("a", [{ offset: 0, bytes: 0x3000 }]),
    partHeader(2),
  ]);
  assert.equal(readAll(concat([stream, partTrailer(2)])).fault?.rule, "truncated");
});

after(() => {
  const missing = Object.keys(RULES).filter((rule) => !seen.has(rule));
  assert.deepEqual(missing, [], "each rule is broken by a test");
});

function faultOf(run: () => void): StreamFault | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof StreamFault) return error;
    throw error;
  }
  return undefined;
}
