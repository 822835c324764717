/**
 * Goal: every broken rule of the format is refused by its name, at the offset where it is broken.
 * Method: one smallest damaged input per rule; a last test checks that no rule is without one.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  Command,
  concat,
  type Element,
  emptyEnd,
  encodeAdvise,
  encodeBlockList,
  encodeCommand,
  encodeConfiguration,
  encodeDescription,
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
  type FirewallOptions,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
  RamRecordReader,
  type ReturnMessage,
  ReturnPathReader,
  ReturnRules,
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

const FIREWALL: FirewallOptions = { ramBytesMax: 0x4000, deviceBytesMax: 100, passUnchecked: false };
const section = (id: number, name: string, instance = 0) =>
  encodeSectionFull({ id, name, instance, version: 1 });
/** A tail's first section, up to its footer. */
const device = concat([section(7, "dev"), hex("abcd"), footer(7)]);
const behindDevice = concat([ended, section(7, "dev"), hex("abcd")]);
const LISTEN = encodeCommand(Command.postcopyListen);
const RUN = encodeCommand(Command.postcopyRun);
const pack = (...parts: Uint8Array[]) => {
  const body = concat(parts);
  return concat([encodePackaged(body.length), body]);
};
const discardAll = encodeDiscard("a", [{ offset: 0, bytes: 0x3000 }]);
const pings = (count: number) => concat(Array.from({ length: count }, () => encodePing(1)));
const openReturn = encodeCommand(Command.openReturnPath);
/** What only a firewall refuses: the rule, what is allowed before, where, what breaks it. */
const FIREWALLED: readonly Case[] = [
  [
    "configuration_unchecked",
    header,
    0,
    encodeConfiguration("pc", [{ name: "x", version: 1, data: hex("00") }]),
  ],
  ["section_unchecked", setup, 0, encodeSectionStart({ id: 3, name: "vfio", instance: 0, version: 1 })],
  ["early_device_unchecked", setup, 0, section(3, "virtio-mem")],
  ["resume_unchecked", new Uint8Array(0), 0, encodePing(1)],
  [
    "devices_too_long",
    concat([ended, section(7, "dev")]),
    100 - section(7, "dev").length,
    new Uint8Array(101),
  ],
  ["devices_too_long", concat([ended, encodeEof()]), 0, encodeDescription(new Uint8Array(101))],
  ["bytes_after_eof", concat([ended, encodeEof()]), 0, Uint8Array.of(8)],
  ["bytes_after_eof", concat([ended, encodeEof(), encodeDescription(hex("7b7d"))]), 0, Uint8Array.of(6)],
  ["device_twice", behindDevice, 0, concat([footer(7), section(8, "dev")])],
  ["element_in_devices", behindDevice, 0, concat([footer(7), encodePing(1)])],
  ["element_in_devices", behindDevice, 0, concat([footer(7), partHeader(2)])],
  ["element_in_devices", behindDevice, 0, concat([footer(7), emptyEnd(2)])],
  ["element_in_devices", behindDevice, 0, concat([footer(7), ram])],
  // Behind a header that may be one, or part of the section before: the footer hides in its name.
  [
    "element_in_devices",
    behindDevice,
    11,
    concat([footer(7), hex("04 00000009 0b"), footer(7), RUN, hex("00"), new Uint8Array(8)]),
  ],
  ["package_body", concat([advised, encodePackaged(20)]), 0, concat([RUN, device])],
  ["package_body", concat([advised, encodePackaged(3)]), 0, LISTEN],
  [
    "package_body",
    concat([advised, encodePackaged(10 + device.length), LISTEN, device.subarray(0, -5)]),
    5,
    hex("7e00000007 7e00000007"),
  ],
  [
    "element_in_devices",
    concat([advised, encodePackaged(40), LISTEN, device.subarray(0, -5)]),
    0,
    concat([footer(7), RUN, RUN]),
  ],
  [
    "element_in_devices",
    concat([advised, encodePackaged(19 + device.length), LISTEN, device.subarray(0, -5)]),
    0,
    concat([footer(7), RUN, pings(1)]),
  ],
  ["return_path_twice", concat([head, openReturn]), 0, openReturn],
  ["pings_too_many", concat([head, openReturn, pings(64)]), 0, encodePing(1)],
  ["discard_total", concat([advised, discardAll, discardAll]), 0, discardAll],
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

for (const [i, [rule, before, at, breaking]] of FIREWALLED.entries()) {
  test(`firewall ${i}: ${rule}`, () => {
    const bytes = concat([before, breaking]);
    const whole = readAll(bytes, [], { firewall: FIREWALL });
    refused(rule, before.length + at, whole.fault);
    const piecemeal = readAll(bytes, bytes.keys(), { firewall: FIREWALL });
    assert.deepEqual(piecemeal.recorder.done(), whole.recorder.done(), "the same in single bytes");
    refused(rule, before.length + at, piecemeal.fault);
    if (rule !== "bytes_after_eof") assert.notEqual(readAll(bytes).fault?.rule, rule, "and without it not");
  });
}

test("a firewall: sizes and orders that it was told", () => {
  const small = { ...FIREWALL, ramBytesMax: 0x3fff };
  refused("ram_too_large", head.length + ram.length, readAll(setup, [], { firewall: small }).fault);
  const resume = { id: 2, blocks: BLOCKS };
  const recovery = (bytes: Uint8Array) => readAll(bytes, [], { firewall: FIREWALL, resume }).fault;
  refused("resume_expected", 0, recovery(setup));
  const asked = encodeRecvBitmap("a");
  refused("bitmap_asked_twice", asked.length, recovery(concat([asked, asked])));
  const known = { ...FIREWALL, deviceBytesMax: 1000, knownDevices: ["dev 0", "other 1", "third 0"] };
  const then = (...names: [string, number][]) =>
    concat([behindDevice, footer(7), ...names.map(([name, i]) => concat([section(7, name, i), footer(7)]))]);
  assert.equal(readAll(then(["new", 5], ["third", 0]), [], { firewall: known }).fault, undefined);
  const third = behindDevice.length + 5 + section(7, "third").length;
  const wrong = then(["third", 0], ["other", 1]);
  refused("device_order", third, readAll(wrong, [], { firewall: known }).fault);
  const many = Array.from({ length: 4096 }, (_, i): [string, number] => ["d", i]);
  const { fault } = readAll(then(...many), [], { firewall: { ...FIREWALL, deviceBytesMax: 1e6 } });
  refused("devices_too_many", fault?.atByte ?? -1, fault);
});

test("a firewall lets good streams pass, and says which devices it saw", () => {
  const firewall = { ...FIREWALL, deviceBytesMax: 1000 };
  const two = concat([
    device,
    section(9, "x/y", 3),
    hex(
      "7e 00000009 7e 7e00000007 00 7e00000007 08 0000 0000 7e00000007 02 00000000 7e00000009 0400000000 00",
    ),
    footer(9),
  ]);
  const description = encodeDescription(Uint8Array.from(Buffer.from('{"~":1}')));
  const good: Uint8Array[] = [
    concat([ended, two, encodeEof(), description]),
    concat([ended, two, encodeEof()]),
    concat([ended, encodeEof(), description]),
    concat([ended, encodeEof()]),
    concat([advised, pack(LISTEN, two, encodePing(3), RUN), emptyEnd(2), encodeEof()]),
    concat([advised, pack(LISTEN, two, RUN), encodePing(4), emptyEnd(2), encodeEof()]),
  ];
  for (const bytes of good) {
    const { fault, reader, recorder } = readAll(bytes, [], { firewall });
    assert.equal(fault, undefined);
    if (bytes.length > 200) assert.deepEqual(reader.devices, ["dev 0", "x/y 3"]);
    assert.deepEqual(recorder.done(), readAll(bytes).recorder.done(), "as without it");
    assert.deepEqual(readAll(bytes, bytes.keys(), { firewall }).recorder.done(), recorder.done());
  }
});

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

test("a return path: what answers nothing that the source said", () => {
  const heard = (rule: StreamRule, message: ReturnMessage, ...said: Element[]) => {
    const rules = new ReturnRules();
    for (const element of said) rules.said(element);
    assert.equal(message.type === "bitmap" ? rules.judgeBitmap(message.block) : rules.judge(message), rule);
    seen.add(rule);
    rules.said({ type: "transparent", why: "" });
    assert.equal(rules.judge(message), undefined, "nobody knows what was said in transparent bytes");
  };
  const command = (number: number, payload: Uint8Array = new Uint8Array(0)): Element => ({
    ...{ type: "command", command: number, name: "", payload },
  });
  const open = command(Command.openReturnPath);
  const shut = { type: "shut", status: 0 } as const;
  const pong = { type: "pong", value: 1 } as const;
  heard("return_path_closed", shut);
  heard("shut_early", shut, open);
  heard("pong_unasked", pong, open, command(Command.ping, hex("00000002")));
  heard("request_early", { type: "request", block: "a", offset: 0, bytes: 4096 }, open);
  heard("resume_ack_unasked", { type: "resumeAck", value: 1 }, open);
  heard("bitmap_unasked", { type: "bitmap", block: "a", bits: new Uint8Array(8) }, open);

  const rules = new ReturnRules();
  rules.said(open);
  assert.equal(rules.judge({ type: "switchoverAck" }), undefined);
  assert.equal(rules.judge({ type: "switchoverAck" }), "switchover_ack_twice");
  seen.add("switchover_ack_twice");
  rules.said(command(Command.ping, hex("00000001")));
  assert.equal(rules.judge(pong), undefined);
  assert.equal(rules.judge(pong), "pong_unasked", "one PONG for a PING");
  assert.equal(rules.judge({ type: "shut", status: 1 }), undefined, "a target may fail at any time");
  rules.passed("discard");
  assert.equal(rules.judge(shut), "shut_early");
  rules.passed("end");
  assert.equal(rules.judge(shut), undefined);
  rules.said({ type: "package", bytes: 10 });
  assert.equal(rules.judge({ type: "pong", value: 3 }), undefined, "the PING in the package");
  assert.equal(rules.judge({ type: "request", block: "a", offset: 0, bytes: 4096 }), undefined);
  rules.said(command(Command.recvBitmap, name("a")));
  assert.equal(rules.judgeBitmap("b"), "bitmap_unasked");
  assert.equal(rules.judgeBitmap("a"), undefined);
  assert.equal(rules.judgeBitmap("a"), "bitmap_unasked", "one bitmap for a question");
});

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
