/** What frames there are. The source of truth for the layout and the rules: docs/wire.md. */

/**
 * The largest payload. Small enough that a frame stays contiguous in a 1 MiB arena chunk at the cost of moving
 * 64 KiB on average per chunk; large enough that the cost per frame (about 2 us) is nothing beside its copy (26 us).
 * QEMU's own writes are of this size too: 64 iovecs of a header and a page, twice.
 */
export const PAYLOAD_BYTES_MAX = 128 * 1024;
export const GREETING_BYTES_MAX = 4096;
export const TICKET_BYTES_MAX = 128;
export const FAULT_BYTES_MAX = 4096;
export const SESSION_ID_BYTES = 16;
export const AGAIN_BYTES_MAX = 4096;

/** Frames of the session itself: not sequenced, never sent again. 0 stays invalid. */
export const SessionKind = {
  hello: 1,
  welcome: 2,
  reject: 3,
  resume: 4,
  resumed: 5,
  ack: 6,
  ping: 7,
  pong: 8,
  abort: 9,
} as const;
export type SessionKind = (typeof SessionKind)[keyof typeof SessionKind];

/** Frames that carry something: sequenced, delivered once and in order, kept until acknowledged. */
export const DataKind = {
  /** Bytes of QEMU's stream, verbatim. */
  stream: 16,
  /** RAM records of QEMU's stream behind a records prefix. */
  records: 17,
  digest: 18,
  verdict: 19,
  /** Bytes of QEMU's return path, verbatim. */
  returnPath: 20,
  /** JSON: what the other side measured. */
  summary: 21,
  /** The sender will send no more. Handled by the session, never delivered. */
  finish: 22,
  /** Versions of pages as the page engine encodes them, behind a pages prefix. */
  pages: 23,
  /** Target to source: page numbers whose base the target lacks. */
  again: 24,
} as const;
export type DataKind = (typeof DataKind)[keyof typeof DataKind];

export type FrameKind = SessionKind | DataKind;

const LIMITS: readonly (readonly [FrameKind, number])[] = [
  [SessionKind.hello, 24 + TICKET_BYTES_MAX + GREETING_BYTES_MAX],
  [SessionKind.welcome, 4 + GREETING_BYTES_MAX],
  [SessionKind.reject, FAULT_BYTES_MAX],
  [SessionKind.resume, 40 + TICKET_BYTES_MAX],
  [SessionKind.resumed, 16],
  [SessionKind.ack, 0],
  [SessionKind.ping, 0],
  [SessionKind.pong, 0],
  [SessionKind.abort, FAULT_BYTES_MAX],
  [DataKind.stream, PAYLOAD_BYTES_MAX],
  [DataKind.records, PAYLOAD_BYTES_MAX],
  [DataKind.digest, PAYLOAD_BYTES_MAX],
  [DataKind.verdict, PAYLOAD_BYTES_MAX],
  [DataKind.returnPath, PAYLOAD_BYTES_MAX],
  [DataKind.summary, PAYLOAD_BYTES_MAX],
  [DataKind.finish, 0],
  [DataKind.pages, PAYLOAD_BYTES_MAX],
  [DataKind.again, AGAIN_BYTES_MAX],
];
const BY_KIND = new Int32Array(256).fill(-1);
for (const [kind, bytes] of LIMITS) BY_KIND[kind] = bytes;

/** The most payload bytes a frame of this kind may have; -1 for a number that is no kind. */
export function payloadBytesMax(kind: number): number {
  return BY_KIND[kind] ?? -1;
}

/** Whether frames of this kind are sequenced and kept until acknowledged. */
export function isDataKind(kind: number): kind is DataKind {
  return kind >= DataKind.stream && kind <= DataKind.again;
}

/**
 * Whether the payload's checksum is in the header. Records and pages go without: the page digest covers every byte that
 * matters in them from QEMU to QEMU, and a CRC-32 of all pages costs more CPU time than copying them (docs/wire.md,
 * "Checksums").
 */
export function isChecked(kind: number): boolean {
  return kind !== DataKind.records && kind !== DataKind.pages;
}
