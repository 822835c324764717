/** Inputs to begin with: real streams, made thin, and small ones of every mode. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import {
  Command,
  concat,
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
  encodeSectionFull,
  encodeSectionStart,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
} from "../src/stream/mod.ts";

const CAPTURES = join(import.meta.dirname, "../test/vectors/captures");
const PAGE = 4096;

export const BLOCKS: readonly RamBlock[] = [
  { index: 0, name: "pc.ram", bytes: 64 * PAGE },
  { index: 1, name: "vga", bytes: 16 * PAGE },
];
export const RAM_ID = 2;

/** @param ending  "stream" or "return" */
export function captures(ending: "stream" | "return"): Uint8Array[] {
  return readdirSync(CAPTURES)
    .filter((name) => name.endsWith(`.${ending}.zst`))
    .sort()
    .map((name) => new Uint8Array(zstdDecompressSync(readFileSync(join(CAPTURES, name)))));
}

const part = (...records: Uint8Array[]) => concat([partHeader(RAM_ID), ...records, partTrailer(RAM_ID)]);

/** A record of each kind; `previous` as if they followed each other. */
export function records(postcopy: boolean): Uint8Array {
  const [ram, vga] = BLOCKS as [RamBlock, RamBlock];
  const page = new Uint8Array(PAGE).fill(0x5a);
  const all = [
    encodeRecord({ block: ram, offset: 0, kind: PageKind.page, previous: undefined }, page),
    encodeRecord({ block: ram, offset: PAGE, kind: PageKind.zero, previous: ram }, Uint8Array.of(0)),
    encodeRecord({ block: vga, offset: 2 * PAGE, kind: PageKind.zero, previous: ram }, Uint8Array.of(0)),
  ];
  if (!postcopy) {
    const xbzrle = Uint8Array.of(5, 2, 1, 2, 0x80, 1, 1, 9);
    all.push(encodeRecord({ block: ram, offset: 0, kind: PageKind.xbzrle, previous: vga }, xbzrle));
    const zlib = { block: ram, offset: 3 * PAGE, kind: PageKind.compressed, previous: ram };
    all.push(encodeRecord(zlib, new Uint8Array(20)));
  }
  return concat(all);
}

const device = (id: number, name: string, state: Uint8Array) =>
  concat([encodeSectionFull({ id, name, instance: 0, version: 1 }), state, footer(id)]);

/** Up to the memory. @param postcopy  advised */
export function announcement(postcopy: boolean, blocks = BLOCKS): Uint8Array {
  return concat([
    encodeHeader(),
    encodeConfiguration("pc-q35-7.2", [
      { name: "configuration/uuid", version: 1, data: new Uint8Array(16).fill(1) },
    ]),
    encodeCommand(Command.openReturnPath),
    encodePing(1),
    ...(postcopy ? [encodeAdvise()] : []),
    encodeSectionStart({ id: RAM_ID, name: "ram", instance: 0, version: 4 }),
    encodeBlockList(blocks),
    encodeEos(),
    footer(RAM_ID),
  ]);
}

/** The devices of pre-copy, and what ends the stream. */
export function devices(): Uint8Array {
  return concat([
    device(5, "timer", new Uint8Array(9)),
    device(0x7e7e7e7e, "0000:00:02.0/vga", Uint8Array.of(0x7e, 0x7e, 0, 0, 0, 5, 4, 8)),
    encodeEof(),
    encodeDescription(Uint8Array.from(Buffer.from('{"page_size":4096,"devices":[]}'))),
  ]);
}

export function packaged(): Uint8Array {
  const body = concat([
    encodeCommand(Command.postcopyListen),
    device(5, "timer", new Uint8Array(9)),
    device(9, "cpu", Uint8Array.of(0x7e, 0, 0, 0, 5, 9, 8)),
    encodePing(3),
    encodeCommand(Command.postcopyRun),
  ]);
  return concat([encodePackaged(body.length), body]);
}

/** What post-copy brings again: the pages of `records(true)`, or those that entries of a frame stand for. */
export function discards(ram: readonly number[] = [0, 1], vga: readonly number[] = [2]): Uint8Array {
  const ranges = (pages: readonly number[]) => pages.map((page) => ({ offset: page * PAGE, bytes: PAGE }));
  return concat([encodeDiscard("pc.ram", ranges(ram)), encodeDiscard("vga", ranges(vga)), encodePing(2)]);
}

/** Small whole streams: pre-copy, post-copy, a snapshot. */
export function smallStreams(): Uint8Array[] {
  return [
    concat([announcement(false), part(records(false)), emptyEnd(RAM_ID), devices()]),
    concat([announcement(true), part(records(false)), discards(), packaged(), encodePing(4)]),
    concat([
      ...[announcement(true), discards(), packaged(), part(records(true)), emptyEnd(RAM_ID)],
      encodeEof(),
    ]),
    concat([announcement(false), part(records(false)), devices()]),
    concat([announcement(false), emptyEnd(RAM_ID), encodeEof()]),
  ];
}
