/** Numbers of the format (docs/stream.md, "Format") and our own limits on it. */

export const MAGIC = 0x5145564d; // "QEVM"
export const STREAM_VERSION = 3;
export const RAM_VERSION = 4;
export const PAGE_BYTES = 4096;

export const ElementType = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  subsection: 0x05,
  description: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

/** Flags in the low 12 bits of a RAM record. */
export const RamFlag = {
  zero: 0x002,
  memSize: 0x004,
  page: 0x008,
  eos: 0x010,
  continue: 0x020,
  xbzrle: 0x040,
  hook: 0x080,
  compressPage: 0x100,
  multifdFlush: 0x200,
} as const;

export const Command = {
  openReturnPath: 1,
  ping: 2,
  postcopyAdvise: 3,
  postcopyListen: 4,
  postcopyRun: 5,
  postcopyRamDiscard: 6,
  packaged: 7,
  enableColo: 8,
  postcopyResume: 9,
  recvBitmap: 10,
  switchoverStart: 11,
} as const;
export type Command = (typeof Command)[keyof typeof Command];

/** QEMU's own names of the commands, by number. */
export const COMMAND_NAMES: ReadonlyMap<number, string> = new Map([
  [1, "OPEN_RETURN_PATH"],
  [2, "PING"],
  [3, "POSTCOPY_ADVISE"],
  [4, "POSTCOPY_LISTEN"],
  [5, "POSTCOPY_RUN"],
  [6, "POSTCOPY_RAM_DISCARD"],
  [7, "PACKAGED"],
  [8, "ENABLE_COLO"],
  [9, "POSTCOPY_RESUME"],
  [10, "RECV_BITMAP"],
  [11, "SWITCHOVER_START"],
]);

/** Commands whose length never varies (ADVISE has 0 or 16, and is not here). */
export const COMMAND_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 0],
  [2, 4],
  [4, 0],
  [5, 0],
  [7, 4],
  [8, 0],
  [9, 0],
  [11, 0],
]);

/** Return path messages. */
export const Reply = {
  shut: 1,
  pong: 2,
  requestId: 3,
  request: 4,
  recvBitmap: 5,
  resumeAck: 6,
  switchoverAck: 7,
} as const;
export const REPLY_BYTES_MAX = 512;

/** Closes a received bitmap: be64 0x0123456789abcdef, as two halves. */
export const BITMAP_END = [0x01234567, 0x89abcdef] as const;

/** zlib's own bound for 4096 bytes. */
export const COMPRESSED_BYTES_MAX = 4110;

/**
 * The most bytes that a reader can leave unconsumed: a command with its longest payload. Whoever buffers for a reader
 * offers at least one byte more than that before it may say that the reader is stuck.
 */
export const CARRY_BYTES_MAX = 5 + 0xffff;

/** The block list is read as one piece, so it must fit into the carry. */
export const BLOCK_LIST_BYTES_MAX = 65_000;
export const BLOCKS_MAX = 1024;
/** Of all blocks: what tables of page numbers can count many times over. */
export const RAM_BYTES_MAX = 2 ** 41;
/** Bytes of the longest block list entry: name, length, page size or address. */
export const BLOCK_ENTRY_BYTES_MAX = 1 + 255 + 8 + 8;
/** Machine name and subsections; the known ones fit many times over. */
export const CAPABILITIES_MAX = 64;
export const SUBSECTIONS_MAX = 3;
