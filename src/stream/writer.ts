/** Encodes everything of the stream but RAM records. Each function gives a new small buffer. */
import { invariant, latin1Bytes, put16, put32, put64 } from "./bytes.ts";
import { Command, ElementType, MAGIC, RamFlag, STREAM_VERSION } from "./format.ts";
import type { RamBlock, Subsection } from "./types.ts";

/** Bytes of `emptyEnd` and of an empty PART: header, end mark, footer. */
export const EMPTY_SECTION_BYTES = 5 + 8 + 5;

/** "QEVM" and the version: 8 bytes. */
export function encodeHeader(): Uint8Array {
  const out = new Uint8Array(8);
  put32(out, put32(out, 0, MAGIC), STREAM_VERSION);
  return out;
}

/** The CONFIGURATION element. @param machine  versioned machine type, 1..255 bytes of latin1 */
export function encodeConfiguration(machine: string, subsections: readonly Subsection[] = []): Uint8Array {
  const name = latin1Bytes(machine);
  const head = new Uint8Array(5);
  head[0] = ElementType.configuration;
  put32(head, 1, name.length);
  return concat([head, name, ...subsections.map(encodeSubsection)]);
}

function encodeSubsection({ name, version, data }: Subsection): Uint8Array {
  const nameBytes = latin1Bytes(name);
  const out = new Uint8Array(2 + nameBytes.length + 4 + data.length);
  out[0] = ElementType.subsection;
  out[1] = nameBytes.length;
  out.set(nameBytes, 2);
  out.set(data, put32(out, 2 + nameBytes.length, version));
  return out;
}

export interface SectionName {
  readonly id: number;
  readonly name: string;
  readonly instance: number;
  readonly version: number;
}

/** Header of a START section; payload and `footer` follow. */
export function encodeSectionStart(section: SectionName): Uint8Array {
  return encodeNamedHeader(ElementType.start, section);
}

/** Header of a FULL section; device state and `footer` follow. */
export function encodeSectionFull(section: SectionName): Uint8Array {
  return encodeNamedHeader(ElementType.full, section);
}

function encodeNamedHeader(type: number, { id, name, instance, version }: SectionName): Uint8Array {
  const nameBytes = latin1Bytes(name);
  const out = new Uint8Array(6 + nameBytes.length + 8);
  out[0] = type;
  out[put32(out, 1, id)] = nameBytes.length;
  out.set(nameBytes, 6);
  put32(out, put32(out, 6 + nameBytes.length, instance), version);
  return out;
}

/**
 * The MEM_SIZE record of the "ram" START section. Page sizes and addresses are written where the blocks have them.
 * `encodeEos` and `footer` follow.
 */
export function encodeBlockList(blocks: readonly RamBlock[]): Uint8Array {
  const total = blocks.reduce((sum, block) => sum + block.bytes, 0);
  const entries = blocks.map((block) => {
    const name = latin1Bytes(block.name);
    const words = [block.bytes, block.pageBytes, block.gpa].filter((word) => word !== undefined);
    const out = new Uint8Array(1 + name.length + 8 * words.length);
    out[0] = name.length;
    out.set(name, 1);
    let at = 1 + name.length;
    for (const word of words) at = put64(out, at, word);
    return out;
  });
  const head = new Uint8Array(8);
  put64(head, 0, total + RamFlag.memSize);
  return concat([head, ...entries]);
}

/** Opens a PART section; records and `partTrailer` follow. */
export function partHeader(sectionId: number): Uint8Array {
  return idAfter(ElementType.part, sectionId);
}

/** Opens an END section; records and `partTrailer` follow. */
export function endHeader(sectionId: number): Uint8Array {
  return idAfter(ElementType.end, sectionId);
}

/** The footer alone. */
export function footer(sectionId: number): Uint8Array {
  return idAfter(ElementType.footer, sectionId);
}

/** The end mark of the records in a section. */
export function encodeEos(): Uint8Array {
  const out = new Uint8Array(8);
  put64(out, 0, RamFlag.eos);
  return out;
}

/** Closes a PART or END section: end mark and footer, 13 bytes. */
export function partTrailer(sectionId: number): Uint8Array {
  return concat([encodeEos(), footer(sectionId)]);
}

/** A whole END section without records: EMPTY_SECTION_BYTES. */
export function emptyEnd(sectionId: number): Uint8Array {
  return concat([endHeader(sectionId), partTrailer(sectionId)]);
}

function idAfter(type: number, sectionId: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = type;
  put32(out, 1, sectionId);
  return out;
}

/** The EOF byte. */
export function encodeEof(): Uint8Array {
  return Uint8Array.of(ElementType.eof);
}

/** The VMDESCRIPTION element. @param json  as its bytes in UTF-8 */
export function encodeDescription(json: Uint8Array): Uint8Array {
  const head = new Uint8Array(5);
  head[0] = ElementType.description;
  put32(head, 1, json.length);
  return concat([head, json]);
}

/** A COMMAND element. @param payload  at most 65535 bytes; what PACKAGED announces follows outside */
export function encodeCommand(command: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  invariant(payload.length <= 0xffff, "a command's payload has at most 65535 bytes");
  const out = new Uint8Array(5 + payload.length);
  out[0] = ElementType.command;
  out.set(payload, put16(out, put16(out, 1, command), payload.length));
  return out;
}

/** @param value  u32; the receiver answers PONG with the same */
export function encodePing(value: number): Uint8Array {
  const payload = new Uint8Array(4);
  put32(payload, 0, value);
  return encodeCommand(Command.ping, payload);
}

/** POSTCOPY_ADVISE for RAM. @param pageSizes  all blocks' page sizes, or-ed */
export function encodeAdvise(pageSizes = 4096): Uint8Array {
  const payload = new Uint8Array(16);
  put64(payload, put64(payload, 0, pageSizes), 4096);
  return encodeCommand(Command.postcopyAdvise, payload);
}

/** Most ranges in one discard, whatever the block's name. */
export const DISCARD_RANGES_MAX = 4000;

/** POSTCOPY_RAM_DISCARD. @param ranges  1..DISCARD_RANGES_MAX pairs, bytes, whole pages of the block */
export function encodeDiscard(
  block: string,
  ranges: readonly { readonly offset: number; readonly bytes: number }[],
): Uint8Array {
  invariant(ranges.length >= 1 && ranges.length <= DISCARD_RANGES_MAX, "a discard has 1..4000 ranges");
  const name = latin1Bytes(block);
  const payload = new Uint8Array(3 + name.length + 16 * ranges.length);
  payload[1] = name.length;
  payload.set(name, 2);
  let at = 3 + name.length;
  for (const { offset, bytes } of ranges) at = put64(payload, put64(payload, at, offset), bytes);
  return encodeCommand(Command.postcopyRamDiscard, payload);
}

/** PACKAGED; exactly `bytes` bytes of the nested stream follow. */
export function encodePackaged(bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  put32(payload, 0, bytes);
  return encodeCommand(Command.packaged, payload);
}

/** RECV_BITMAP: asks which pages of a block have arrived (post-copy recovery). */
export function encodeRecvBitmap(block: string): Uint8Array {
  const name = latin1Bytes(block);
  return encodeCommand(Command.recvBitmap, concat([Uint8Array.of(name.length), name]));
}

/** One buffer with all the parts, in order. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
