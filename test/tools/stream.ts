/** Helpers for tests of the stream: record what a reader tells, write it again, feed it in pieces. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  type Barrier,
  type Element,
  encodeBlockList,
  encodeCommand,
  encodeConfiguration,
  encodeEof,
  encodeEos,
  encodeHeader,
  encodeRecord,
  encodeSectionStart,
  endHeader,
  footer,
  PageKind as Kind,
  type PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
  StreamFault,
  type StreamHandler,
  StreamReader,
  type StreamReaderOptions,
} from "../../src/stream/mod.ts";

export const hash = (bytes: Uint8Array): string => createHash("sha1").update(bytes).digest("hex");

/**
 * Everything a reader tells, in a form that does not depend on how runs of records and of bytes were split.
 * Also checks what holds for every call: pages inside their blocks, records that continue the pages told.
 */
export class Recorder implements StreamHandler {
  readonly log: unknown[] = [];
  readonly pages: string[] = [];
  readonly counts = { zero: 0, page: 0, xbzrle: 0, compressed: 0 };
  /** XBZRLE bodies with the three bytes before them, as QEMU counts them. */
  xbzrleBytes = 0;
  #run: { type: "bytes" | "records"; parts: Uint8Array[] } | undefined;
  #told = 0;
  #before: RamBlock | undefined;
  #last: RamBlock | undefined;

  bytes(buffer: Uint8Array, start: number, end: number): void {
    assert.ok(end > start, "no empty bytes are told");
    this.#append("bytes", buffer, start, end);
  }

  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    assert.ok(
      offset >= 0 && offset % 4096 === 0 && offset + 4096 <= block.bytes,
      "a page lies inside its block",
    );
    assert.ok(start >= 0 && end <= buffer.length && start < end, "a body lies inside the buffer");
    if (kind === Kind.page) assert.equal(end - start, 4096);
    for (const name of Object.keys(Kind) as (keyof typeof Kind)[])
      if (Kind[name] === kind) this.counts[name]++;
    if (kind === Kind.xbzrle) this.xbzrleBytes += end - start + 3;
    this.pages.push(`${block.name} ${offset} ${kind} ${hash(buffer.subarray(start, end))}`);
    this.#last = block;
    this.#told++;
  }

  records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void {
    assert.ok(this.#told > 0, "records follow their pages");
    if ((buffer[start + 7]! & 0x20) !== 0)
      assert.equal(context, this.#before, "the context is the block before");
    else assert.equal(context, undefined, "no context where the first record names its block");
    this.#told = 0;
    this.#before = this.#last;
    this.#append("records", buffer, start, end);
  }

  barrier(barrier: Barrier): void {
    this.#close();
    this.log.push({ barrier });
  }

  element(element: Element): void {
    this.#close();
    this.log.push(element);
  }

  /** The log so far. */
  done(): unknown[] {
    assert.equal(this.#told, 0, "every page's record was told");
    this.#close();
    return [...this.log, this.pages];
  }

  elements(): Element[] {
    return this.log.filter((entry): entry is Element => Object.hasOwn(entry as object, "type"));
  }

  #append(type: "bytes" | "records", buffer: Uint8Array, start: number, end: number): void {
    if (this.#run?.type !== type) this.#close();
    this.#run ??= { type, parts: [] };
    this.#run.parts.push(Uint8Array.from(buffer.subarray(start, end)));
  }

  #close(): void {
    if (this.#run === undefined) return;
    const bytes = Buffer.concat(this.#run.parts);
    this.log.push({ run: this.#run.type, length: bytes.length, hash: hash(bytes) });
    this.#run = undefined;
  }
}

/**
 * Writes the stream again from what the reader told, with the module's own writers: elements from their values, pages
 * with CONTINUE exactly where the block stays the same, opaque parts verbatim.
 */
export class Rewriter implements StreamHandler {
  readonly parts: Uint8Array[] = [];
  #previous: RamBlock | undefined;
  #inStart = false;
  #verbatim: "no" | "next" | "yes" = "no";
  #packageRest = 0;

  element(element: Element): void {
    this.parts.push(...this.#encode(element));
  }

  #encode(element: Element): Uint8Array[] {
    switch (element.type) {
      case "header":
        return [encodeHeader()];
      case "configuration":
        return [encodeConfiguration(element.machine, element.subsections)];
      case "sectionStart":
        this.#inStart = true;
        return [encodeSectionStart(element)];
      case "ramBlocks":
        return [encodeBlockList(element.blocks)];
      case "sectionFooter":
        if (!this.#inStart) return [partTrailer(element.id)];
        this.#inStart = false;
        return [encodeEos(), footer(element.id)];
      case "sectionPart":
        return [partHeader(element.id)];
      case "sectionEnd":
        return [endHeader(element.id)];
      case "command":
        return [encodeCommand(element.command, element.payload)];
      case "eof":
        return [encodeEof()];
      case "package":
        this.#verbatim = "next";
        this.#packageRest = element.bytes;
        return [];
      case "sectionFull":
      case "transparent":
        this.#verbatim = "yes";
        this.#packageRest = Number.POSITIVE_INFINITY;
        return [];
      case "description":
        throw new Error("a live reader tells no description");
    }
  }

  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.parts.push(
      encodeRecord({ block, offset, kind, previous: this.#previous }, buffer.subarray(start, end)),
    );
    this.#previous = block;
  }

  bytes(buffer: Uint8Array, start: number, end: number): void {
    if (this.#verbatim === "no") return;
    if (this.#verbatim === "next") {
      this.#verbatim = "yes"; // these were the PACKAGED command's own
      return;
    }
    this.parts.push(Uint8Array.from(buffer.subarray(start, end)));
    this.#packageRest -= end - start;
    if (this.#packageRest === 0) this.#verbatim = "no";
  }

  records(): void {}

  barrier(barrier: Barrier): void {
    // QEMU forgets the last block where post-copy begins.
    if (barrier === "discard") this.#previous = undefined;
  }

  get bytesWritten(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/**
 * Feeds `bytes` so that the reader sees them grow at the given cuts (ascending). Each time the rest and the new bytes
 * lie in another buffer at another offset, and the buffer before is overwritten: nothing may be kept without a copy.
 * @returns bytes consumed
 */
export function feed(
  reader: { push(buffer: Uint8Array, start: number, end: number): number },
  bytes: Uint8Array,
  cuts: Iterable<number> = [],
): number {
  let p = 0;
  let shift = 0;
  for (const cut of [...cuts, bytes.length]) {
    shift = (shift + 5) % 17;
    const buffer = new Uint8Array(shift + cut - p);
    buffer.set(bytes.subarray(p, cut), shift);
    p += reader.push(buffer, shift, buffer.length) - shift;
    buffer.fill(0xee);
  }
  return p;
}

/** Reads a whole stream. The fault, if any, is returned with what was told before it. */
export function readAll(
  bytes: Uint8Array,
  cuts: Iterable<number> = [],
  options: StreamReaderOptions = {},
): { recorder: Recorder; reader: StreamReader; fault: StreamFault | undefined } {
  const recorder = new Recorder();
  const reader = new StreamReader(recorder, options);
  try {
    feed(reader, bytes, cuts);
    reader.end();
  } catch (error) {
    if (!(error instanceof StreamFault)) throw error;
    return { recorder, reader, fault: error };
  }
  return { recorder, reader, fault: undefined };
}

export function rewrite(bytes: Uint8Array, options: StreamReaderOptions = {}): Buffer {
  const rewriter = new Rewriter();
  const reader = new StreamReader(rewriter, options);
  reader.push(bytes, 0, bytes.length);
  reader.end();
  return rewriter.bytesWritten;
}

/** The bytes of test/vectors/NAME.hex: hex with `xx*n` for repetition and `#` comments. */
export function vector(name: string): Buffer {
  const text = readFileSync(new URL(`../vectors/${name}.hex`, import.meta.url), "utf8");
  const words = text.replace(/#.*$/gm, "").split(/\s+/);
  return Buffer.concat(
    words.filter(Boolean).map((word) => {
      const [byte, count = "1"] = word.split("*") as [string, string?];
      assert.match(byte, /^[0-9a-f]{2}$/);
      return Buffer.alloc(Number(count), Number.parseInt(byte, 16));
    }),
  );
}
