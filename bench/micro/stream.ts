/**
 * How fast QEMU's stream is read, checked and written: a generated stream of PART sections like QEMU's, of whole pages
 * that cannot be compressed, and of pages one half of which are zero; each run of it through the module's own readers as
 * the relays use them (the source's, the target's), and page by page through the writer.
 */
import {
  concat,
  encodeBlockList,
  encodeConfiguration,
  encodeEof,
  encodeEos,
  encodeHeader,
  encodeRecord,
  encodeSectionStart,
  endHeader,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  putRecordHead,
  type RamBlock,
  RamRecordReader,
  RECORD_HEAD_BYTES_MAX,
  type StreamHandler,
  StreamReader,
} from "../../src/stream/mod.ts";
import { beside, copyPages, type Effort, type Figure } from "./figures.ts";

const PAGE_BYTES = 4096;
/** As many as QEMU sends in one PART at most times: what it writes in 50 ms is more, what the relay reads is less. */
const PART_PAGES = 64;
const SECTION = 2;

interface Generated {
  readonly bytes: Uint8Array;
  readonly block: RamBlock;
  /** The records alone, section by section, as they are framed between the relays. */
  readonly runs: readonly Uint8Array[];
  readonly pages: number;
}

/** @param zeroEvery  each so many pages one is zero; 0: none */
function generate(pages: number, zeroEvery: number): Generated {
  const block: RamBlock = { index: 0, name: "pc.ram", bytes: pages * PAGE_BYTES };
  const whole = Uint8Array.from({ length: PAGE_BYTES }, (_, i) => (i * 2654435761) >>> 24);
  const zero = Uint8Array.of(0);
  const runs: Uint8Array[] = [];
  let previous: RamBlock | undefined;
  for (let first = 0; first < pages; first += PART_PAGES) {
    const records: Uint8Array[] = [];
    for (let page = first; page < Math.min(pages, first + PART_PAGES); page++) {
      const isZero = zeroEvery > 0 && page % zeroEvery === 0;
      const kind = isZero ? PageKind.zero : PageKind.page;
      records.push(encodeRecord({ block, offset: page * PAGE_BYTES, kind, previous }, isZero ? zero : whole));
      previous = block;
    }
    runs.push(concat(records));
  }
  const start = { id: SECTION, name: "ram", instance: 0, version: 4 };
  const bytes = concat([
    encodeHeader(),
    encodeConfiguration("pc-q35-7.2"),
    ...[encodeSectionStart(start), encodeBlockList([block]), encodeEos(), footer(SECTION)],
    ...runs.flatMap((run) => [partHeader(SECTION), run, partTrailer(SECTION)]),
    ...[endHeader(SECTION), partTrailer(SECTION), encodeEof()],
  ]);
  return { bytes, block, runs, pages };
}

/** Counts pages, so that nothing can be skipped. */
class Counter implements StreamHandler {
  pages = 0;
  page(): void {
    this.pages++;
  }
  records(): void {}
  bytes(): void {}
  barrier(): void {}
  element(): void {}
}

function told(counter: Counter, { pages }: Generated): void {
  if (counter.pages !== pages) throw new Error(`${counter.pages} pages of ${pages} were told`);
}

/** In pushes as large as a frame, which is how the source relay reads. */
function readStream(generated: Generated): void {
  const { bytes } = generated;
  const counter = new Counter();
  const reader = new StreamReader(counter);
  const PUSH_BYTES = 2 ** 20;
  let at = 0;
  for (let end = 0; at < bytes.length; ) {
    end = Math.min(bytes.length, end + PUSH_BYTES);
    at = reader.push(bytes, at, end);
  }
  reader.end();
  told(counter, generated);
}

function checkRecords(generated: Generated): void {
  const { block, runs } = generated;
  const counter = new Counter();
  const reader = new RamRecordReader([block], counter);
  for (const run of runs) reader.push(run, 0, run.length, block);
  told(counter, generated);
}

function writeRecords({ block, pages }: Generated, from: Uint8Array, out: Uint8Array): void {
  let at = 0;
  for (let page = 0; page < pages; page++) {
    if (at + RECORD_HEAD_BYTES_MAX + PAGE_BYTES > out.length) at = 0;
    const offset = page * PAGE_BYTES;
    const head = { block, offset, kind: PageKind.page, bodyBytes: PAGE_BYTES, previous: block };
    at = putRecordHead(out, at, head);
    const body = offset % from.length;
    out.set(from.subarray(body, body + PAGE_BYTES), at);
    at += PAGE_BYTES;
  }
}

/** Bytes are those of the guest's pages, whatever of them is in the stream. */
export function streamFigures(effort: Effort): Figure[] {
  const { largeBytes } = effort;
  const pages = largeBytes / PAGE_BYTES;
  const memory = new Uint8Array(2 * largeBytes).fill(1);
  const copy = () => copyPages(memory, 0, largeBytes, largeBytes, largeBytes);
  const whole = generate(pages, 0);
  const half = generate(pages, 2);
  const from = memory.subarray(0, largeBytes);
  const out = memory.subarray(largeBytes);
  const measured = (name: string, work: () => void) => beside(name, effort, largeBytes, work, copy);
  return [
    measured("read, whole pages", () => readStream(whole)),
    measured("read, half of the pages zero", () => readStream(half)),
    measured("check records, whole pages", () => checkRecords(whole)),
    measured("check records, half of the pages zero", () => checkRecords(half)),
    measured("write, whole pages", () => writeRecords(whole, from, out)),
  ];
}
