/** `godwit dump FILE`: prints a captured migration stream. */
import { type FileHandle, open } from "node:fs/promises";
import { Command } from "commander";
import { GodwitError } from "../errors/mod.ts";
import {
  type Barrier,
  cutTail,
  type Element,
  PageKind,
  type RamBlock,
  StreamFault,
  type StreamHandler,
  StreamReader,
} from "../stream/mod.ts";

const READ_BYTES = 1 << 20;
/** Larger device state is not cut into sections: it would have to be held in memory. */
const TAIL_BYTES_MAX = 64 << 20;

export interface DumpOptions {
  /** One JSON object per line instead of text. */
  readonly json?: boolean;
  /** One line per page instead of one per block and section. */
  readonly pages?: boolean;
}

/** Where a line of output goes; awaited, so that a slow reader of ours slows us down. */
export type WriteOut = (text: string) => Promise<void>;

export function dumpCommand(): Command {
  return new Command("dump")
    .description("Print a captured migration stream readably")
    .argument("<file>", "what QEMU wrote, for example to exec:cat>FILE")
    .option("--json", "one JSON object per line")
    .option("--pages", "one line per page instead of a summary per section and block")
    .addHelpText("after", "\nExample:\n  $ godwit dump vm.stream | less\n")
    .action(async (file: string, options: DumpOptions) => {
      // What stdout says about itself comes through the callback of each write.
      process.stdout.on("error", () => undefined);
      await dumpFile(file, options, writeStdout).catch((error) => {
        if (error.code !== "EPIPE") throw error; // `godwit dump FILE | head` is no failure
      });
    });
}

/**
 * Dumps one file; it is read in pieces, whatever its size.
 * @throws GodwitError FILE_UNREADABLE, FILE_NOT_STREAM or STREAM_INVALID; what could be read has been written before
 */
export async function dumpFile(path: string, options: DumpOptions, write: WriteOut): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    throw unreadable(path, error);
  }
  const lines: string[] = [];
  const dump = new Dump(options, (line) => lines.push(line));
  const flush = async () => {
    if (lines.length > 0) await write(`${lines.splice(0).join("\n")}\n`);
  };
  const buffer = new Uint8Array(2 * READ_BYTES);
  let filled = 0;
  try {
    for (;;) {
      const bytesRead = await readInto(file, buffer, filled, path);
      if (bytesRead === 0) break;
      filled += bytesRead;
      const rest = dump.push(buffer, filled);
      buffer.copyWithin(0, rest, filled);
      filled -= rest;
      await flush();
    }
    dump.end();
    await flush();
  } catch (error) {
    await flush();
    if (error instanceof StreamFault) throw invalid(error, path, buffer);
    throw error;
  } finally {
    await file.close();
  }
}

async function readInto(file: FileHandle, buffer: Uint8Array, at: number, path: string): Promise<number> {
  try {
    return (await file.read(buffer, at, READ_BYTES)).bytesRead;
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): GodwitError {
  const reason = (error as NodeJS.ErrnoException).code ?? String(error);
  return new GodwitError("FILE_UNREADABLE", { path, reason }, { cause: error });
}

function invalid(fault: StreamFault, path: string, buffer: Uint8Array): GodwitError {
  if (fault.rule === "magic") {
    const firstBytes = [...buffer.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return new GodwitError("FILE_NOT_STREAM", { path, firstBytes }, { cause: fault });
  }
  const { rule, atByte, why } = fault;
  return new GodwitError("STREAM_INVALID", { rule, atByte, why }, { cause: fault });
}

async function writeStdout(text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

const KIND_NAMES = {
  [PageKind.zero]: "zero",
  [PageKind.page]: "page",
  [PageKind.xbzrle]: "xbzrle",
  [PageKind.compressed]: "compressed",
} as const;
type Counts = Record<(typeof KIND_NAMES)[PageKind], number>;
const noPages = (): Counts => ({ zero: 0, page: 0, xbzrle: 0, compressed: 0 });

/** In text, a zero here is left out. */
const SHOWN_UNLESS_ZERO = new Set(["zero", "page", "xbzrle", "compressed", "instance"]);

/** What one line says: where it begins, what it is, and the rest. */
type Line = { readonly at: number; readonly type: string; readonly [key: string]: unknown };

class Dump implements StreamHandler {
  readonly #options: DumpOptions;
  readonly #line: (text: string) => void;
  readonly #reader = new StreamReader(this);
  /** Offset in the file minus offset in the buffer. */
  #base = 0;
  #section = new Map<string, Counts>();
  readonly #total = noPages();
  #held:
    | { kind: "tail" | "package"; at: number; parts: Uint8Array[]; bytes: number; rest: number }
    | undefined;

  constructor(options: DumpOptions, line: (text: string) => void) {
    this.#options = options;
    this.#line = line;
  }

  push(buffer: Uint8Array, end: number): number {
    this.#base = this.#reader.consumedBytes;
    return this.#reader.push(buffer, 0, end);
  }

  end(): void {
    this.#reader.end();
    this.#release();
    this.#say({ at: this.#reader.consumedBytes, type: "end", ...this.#total });
  }

  element(element: Element): void {
    const at = this.#reader.consumedBytes;
    if (element.type === "sectionFooter") this.#sayPages(at);
    this.#sayElement(at, element);
    if (element.type === "package")
      this.#held = { kind: "package", at: at + 9, parts: [], bytes: 0, rest: element.bytes };
    if (element.type === "sectionFull")
      this.#held = { kind: "tail", at, parts: [], bytes: 0, rest: Number.POSITIVE_INFINITY };
  }

  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    _buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    const name = KIND_NAMES[kind];
    this.#total[name]++;
    if (this.#options.pages) {
      this.#say({
        at: this.#base + start,
        type: "page",
        block: block.name,
        offset,
        kind: name,
        bytes: end - start,
      });
      return;
    }
    const counts = this.#section.get(block.name) ?? noPages();
    this.#section.set(block.name, counts);
    counts[name]++;
  }

  bytes(buffer: Uint8Array, start: number, end: number): void {
    const held = this.#held;
    // The PACKAGED command itself comes after the element that announces its body.
    if (held === undefined || this.#reader.consumedBytes < held.at) return;
    held.bytes += end - start;
    if (held.bytes <= TAIL_BYTES_MAX) held.parts.push(buffer.slice(start, end));
    held.rest -= end - start;
    if (held.rest === 0) this.#release();
  }

  records(): void {}

  barrier(barrier: Barrier): void {
    this.#say({ at: this.#reader.consumedBytes, type: "barrier", barrier });
  }

  /** Cuts what was held of device state, and tells it. */
  #release(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    if (held.bytes > TAIL_BYTES_MAX) {
      this.#say({ at: held.at, type: "opaque", bytes: held.bytes });
      return;
    }
    const bytes = Buffer.concat(held.parts);
    const { pieces, restAt, described } = cutTail(bytes, held.kind);
    // The first FULL of a tail has been told already.
    for (const { element, start, end } of held.kind === "tail" ? pieces.slice(1) : pieces) {
      this.#sayElement(held.at + start, element, end - start);
    }
    if (restAt < bytes.length)
      this.#say({ at: held.at + restAt, type: "opaque", bytes: bytes.length - restAt });
    if (described !== undefined) this.#say({ at: held.at + restAt, type: "described", matches: described });
  }

  #sayPages(at: number): void {
    for (const [block, counts] of this.#section) this.#say({ at, type: "pages", block, ...counts });
    this.#section.clear();
  }

  #sayElement(at: number, element: Element, bytes?: number): void {
    const size = bytes === undefined ? {} : { bytes };
    if (element.type === "sectionFooter" && !this.#options.json) return;
    if (element.type === "command") {
      this.#say({ at, ...element, payload: Buffer.from(element.payload).toString("hex") });
    } else if (element.type === "configuration") {
      const subsections = element.subsections.map((s) => ({
        ...s,
        data: Buffer.from(s.data).toString("hex"),
      }));
      this.#say({ at, ...element, subsections });
    } else if (element.type === "description" && !this.#options.json) {
      this.#say({ at, type: element.type, bytes: Buffer.byteLength(element.json) });
    } else if (element.type === "ramBlocks" && !this.#options.json) {
      this.#say({ at, type: element.type, totalBytes: element.totalBytes });
      for (const block of element.blocks) this.#say({ at, type: "block", ...block });
    } else {
      this.#say({ at, ...element, ...size });
    }
  }

  #say(line: Line): void {
    if (this.#options.json) {
      this.#line(JSON.stringify(line));
      return;
    }
    const { at, type, ...rest } = line;
    const shown = Object.entries(rest)
      .filter(([key, value]) => !(value === 0 && SHOWN_UNLESS_ZERO.has(key)) && String(value) !== "")
      .map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`);
    this.#line(`${at.toString(16).padStart(10, "0")}  ${type.padEnd(14)} ${shown.join(" ")}`.trimEnd());
  }
}
