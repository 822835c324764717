/** QEMU's migration stream and return path: reader and writer. Facts of the format: docs/stream.md. */
export { type Discard, decodeDiscard } from "./discard.ts";
export type { FirewallOptions } from "./firewall.ts";
export { CARRY_BYTES_MAX, COMMAND_NAMES, Command, RamFlag } from "./format.ts";
export { RamRecordReader } from "./ram-records.ts";
export { type RamSection, StreamReader, type StreamReaderOptions } from "./reader.ts";
export {
  encodeRecord,
  explicitFirst,
  putRecordHead,
  RECORD_BYTES_MAX,
  RECORD_HEAD_BYTES_MAX,
  type RecordHead,
} from "./record-writer.ts";
export { type ReturnPathHandler, type ReturnPathOptions, ReturnPathReader } from "./return-path.ts";
export { ReturnRules } from "./return-rules.ts";
export { encodeReturnMessage } from "./return-writer.ts";
export { RULES, type StreamRule } from "./rules.ts";
export type { PageHandler } from "./scanner.ts";
export { type CutTail, cutTail, type TailPiece } from "./tail.ts";
export {
  type Barrier,
  type Element,
  PageKind,
  type RamBlock,
  type ReturnMessage,
  StreamFault,
  type StreamHandler,
  type Subsection,
} from "./types.ts";
export {
  concat,
  DISCARD_RANGES_MAX,
  EMPTY_SECTION_BYTES,
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
  encodeRecvBitmap,
  encodeSectionFull,
  encodeSectionStart,
  endHeader,
  footer,
  partHeader,
  partTrailer,
  type SectionName,
} from "./writer.ts";
