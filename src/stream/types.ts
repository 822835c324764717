/**
 * The shapes that the stream reader and writer speak in.
 * Facts of the format: docs/stream.md; the terms are QEMU's own.
 */
import { RULES, type StreamRule } from "./rules.ts";

/** One RAM block as announced in the "ram" START section. */
export interface RamBlock {
  /** Order of announcement, from 0: the number by which Godwit's link names the block. */
  readonly index: number;
  /** QEMU's name, for example "pc.ram"; 1..255 bytes of latin1. */
  readonly name: string;
  /** used_length, bytes, a multiple of 4096. */
  readonly bytes: number;
  /** Size of the block's host pages where it is announced: post-copy, and not 4096 (huge pages). */
  readonly pageBytes?: number;
  /** Guest physical address where it is announced: capability x-ignore-shared. */
  readonly gpa?: number;
}

/** What a RAM record carries. `zero` has one fill byte, `page` 4096 bytes, the others an encoded body. */
export const PageKind = { zero: 1, page: 2, xbzrle: 3, compressed: 4 } as const;
export type PageKind = (typeof PageKind)[keyof typeof PageKind];

/** The places in a stream where held pages and digests must be settled, in the order in which they come. */
export type Barrier =
  /** Before the first POSTCOPY_RAM_DISCARD: the source's guest has stopped, post-copy begins. */
  | "discard"
  /** Before PACKAGED: the target guest runs right after it. */
  | "package"
  /** Before the END of the "ram" section: in pre-copy the device sections follow, in post-copy nothing. */
  | "end"
  /** Before the first FULL section when no RAM END came (background-snapshot). */
  | "devices";

/** Everything that is not a page, for dump, accounting and control. Values are copies, safe to keep. */
export type Element =
  | { readonly type: "header"; readonly version: number }
  | { readonly type: "configuration"; readonly machine: string; readonly subsections: readonly Subsection[] }
  | {
      readonly type: "sectionStart" | "sectionFull";
      readonly id: number;
      readonly name: string;
      readonly instance: number;
      readonly version: number;
    }
  | { readonly type: "sectionPart" | "sectionEnd"; readonly id: number }
  | { readonly type: "sectionFooter"; readonly id: number }
  | { readonly type: "ramBlocks"; readonly totalBytes: number; readonly blocks: readonly RamBlock[] }
  | {
      readonly type: "command";
      readonly command: number;
      readonly name: string;
      readonly payload: Uint8Array;
    }
  | { readonly type: "package"; readonly bytes: number }
  | { readonly type: "eof" }
  | { readonly type: "description"; readonly json: string }
  /** From here on nothing can be delimited: the rest of the stream is verbatim bytes. */
  | { readonly type: "transparent"; readonly why: string };

export interface Subsection {
  readonly name: string;
  readonly version: number;
  readonly data: Uint8Array;
}

/**
 * What a StreamReader tells. Called synchronously from `push`, in stream order.
 * `buffer` is the caller's own: offsets into it are valid only during the call, unless the caller knows better.
 */
export interface StreamHandler {
  /**
   * Bytes without pages, to be forwarded verbatim. PART sections of "ram" are never reported here (their framing is
   * made anew by the writer), and the END section of "ram" is reported as one empty END section after its last record
   * (in a small buffer of the reader's own that never changes again).
   */
  bytes(buffer: Uint8Array, start: number, end: number): void;
  /**
   * One page version. `start..end` is its body in `buffer` (zero: the fill byte; page: 4096 bytes; else the encoded
   * body after its length). `offset` is the byte offset in the block, a multiple of 4096.
   */
  page(block: RamBlock, offset: number, kind: PageKind, buffer: Uint8Array, start: number, end: number): void;
  /**
   * A run of whole records, contiguous in `buffer`, whose pages have just been told by `page`.
   * `context` is the block that a leading CONTINUE record refers to; undefined when the first record names its block.
   */
  records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void;
  /** Everything before this must have arrived and been verified before anything after it is passed on. */
  barrier(barrier: Barrier): void;
  /** Structure, for whoever looks. Comes before the `bytes` that carry it. */
  element?(element: Element): void;
}

/** A named rule of the format that bytes broke. The stream cannot be trusted from `atByte` on. */
export class StreamFault extends Error {
  readonly rule: StreamRule;
  /** Offset from the start of the stream (or of the return path). */
  readonly atByte: number;
  constructor(rule: StreamRule, atByte: number) {
    super(`the stream breaks the rule ${rule} at byte ${atByte}: ${RULES[rule]}`);
    this.name = "StreamFault";
    this.rule = rule;
    this.atByte = atByte;
  }

  /** What the rule says, and what to switch off in QEMU where that helps. */
  get why(): string {
    return RULES[this.rule];
  }
}

/** One message of the return path (target to source). */
export type ReturnMessage =
  | { readonly type: "shut"; readonly status: number }
  | { readonly type: "pong"; readonly value: number }
  | {
      readonly type: "request";
      readonly block: string | undefined;
      readonly offset: number;
      readonly bytes: number;
    }
  | { readonly type: "bitmap"; readonly block: string; readonly bits: Uint8Array }
  | { readonly type: "resumeAck"; readonly value: number }
  | { readonly type: "switchoverAck" };
