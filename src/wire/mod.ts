/** Godwit's link protocol as bytes: layout, encode, decode. Pure. docs/wire.md. */
export { type Checksum, crc32Plain } from "./crc32.ts";
export { decodeFault, encodeFault, type FaultFault, type WireFault } from "./fault.ts";
export {
  ACK_SOON,
  decodeHeader,
  encodeFrame,
  encodeHeader,
  type FrameFault,
  type FrameHeader,
  HEADER_BYTES,
} from "./frame.ts";
export {
  decodeHello,
  decodeResume,
  decodeResumed,
  decodeWelcome,
  encodeHello,
  encodeResume,
  encodeResumed,
  encodeWelcome,
  type HandshakeFault,
  type Hello,
  type ReceivePoint,
  type Resume,
  VERSION_MAX,
  VERSION_MIN,
  type Welcome,
} from "./handshake.ts";
export {
  DataKind,
  FAULT_BYTES_MAX,
  type FrameKind,
  GREETING_BYTES_MAX,
  isChecked,
  isDataKind,
  PAYLOAD_BYTES_MAX,
  SESSION_ID_BYTES,
  SessionKind,
  TICKET_BYTES_MAX,
} from "./kinds.ts";
export {
  AGAIN_PAGES_MAX,
  decodeAgain,
  decodePagesPrefix,
  ENTRY_NEXT,
  EntryForm,
  encodeAgain,
  encodePagesPrefix,
  PAGES_BODY_BYTES_MAX,
  PAGES_ENTRIES_MAX,
  PAGES_OUTPUT_BYTES_MAX,
  PAGES_PREFIX_BYTES,
  PagesForm,
  type PagesPrefix,
  type PagesPrefixFault,
  pagesOutputBytes,
  putVarint,
  VARINT_BYTES_MAX,
  VarintReader,
  varintBytes,
} from "./pages.ts";
export { FrameParser } from "./parser.ts";
export { decodeProof, encodeProof, PROOF_BYTES, type ProofPayload } from "./proof.ts";
export {
  decodeRecordsPrefix,
  encodeRecordsPrefix,
  NO_CONTEXT,
  RECORDS_PREFIX_BYTES,
  type RecordsPrefix,
} from "./records.ts";
