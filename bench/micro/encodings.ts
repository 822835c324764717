/**
 * How fast the zero tests, compare and the encodings of pages are, in a working set that fits the cache (pages just read
 * from a socket are there) and in one far larger. Pages are made up: the bytes per page shown say nothing of real guests.
 * What a decoder gives is compared with the page.
 */
import assert from "node:assert/strict";
import { BATCH_PAGES_MAX, loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { aimNote, beside, copyPages, type Effort, type Figure } from "./figures.ts";
import { type Contents, fillPages } from "./kernelPages.ts";

const MIB = 2 ** 20;
const SMALL_BYTES = 256 * 1024;
/** Enough for the clock; there are many kernels, and some take ten times as long as a copy. */
const ROUND_BYTES_MAX = 48 * MIB;
/** A body is given up when it is longer: the engine sends such a page as it is. */
const BODY_BYTES_MAX = 4000;
/** Room for one body. */
const SLOT_BYTES = PAGE_BYTES;

/** Where a working set stands: four ranges of the same length. */
interface Places {
  readonly base: number;
  readonly page: number;
  readonly target: number;
  readonly bodies: number;
  readonly pages: number;
}

interface Kernel {
  readonly name: string;
  readonly contents: Contents;
  /** Smallest ratio to a copy that we want. */
  readonly aim?: number;
  /** Runs over `count` pages from `first` on and returns the bytes of all bodies, 0 where there are none. */
  run(k: PageKernels, at: Places, first: number, count: number): number;
  /** Before the rounds: makes the bodies that `run` decodes. */
  prepare?(k: PageKernels, at: Places): void;
  /** After the rounds: throws when the work was not done. */
  check?(k: PageKernels, at: Places): void;
}

/** A kernel that takes its pages from the batch of addresses. */
function batch(
  name: string,
  contents: Contents,
  run: (k: PageKernels, count: number) => void,
  aim?: number,
): Kernel {
  return {
    name,
    contents,
    ...(aim === undefined ? {} : { aim }),
    run(k, at, first, count) {
      for (let i = 0; i < count; i++) k.addresses[i] = at.page + (first + i) * PAGE_BYTES;
      run(k, count);
      return 0;
    },
  };
}

type Encode = (k: PageKernels, base: number, page: number, out: number, outMax: number) => number;
type Decode = (k: PageKernels, body: number, bytes: number, page: number) => number;

function encoder(name: string, contents: Contents, encode: Encode, aim?: number): Kernel {
  return {
    name: `${name} encode`,
    contents,
    ...(aim === undefined ? {} : { aim }),
    run(k, at, first, count) {
      let bytes = 0;
      for (let i = first; i < first + count; i++) {
        const offset = i * PAGE_BYTES;
        bytes += encode(k, at.base + offset, at.page + offset, at.bodies, BODY_BYTES_MAX);
      }
      return bytes;
    },
  };
}

/** `decode` patches the target, which holds the base at first. */
function decoder(name: string, contents: Contents, encode: Encode, decode: Decode): Kernel {
  let lengths = new Uint32Array(0);
  return {
    name: `${name} decode`,
    contents,
    prepare(k, at) {
      lengths = new Uint32Array(at.pages);
      k.bytes.copyWithin(at.target, at.base, at.base + at.pages * PAGE_BYTES);
      for (let i = 0; i < at.pages; i++) {
        const offset = i * PAGE_BYTES;
        const body = at.bodies + i * SLOT_BYTES;
        lengths[i] = encode(k, at.base + offset, at.page + offset, body, BODY_BYTES_MAX);
        assert(lengths[i]! > 0, "a page to be decoded was not worth encoding");
      }
    },
    run(k, at, first, count) {
      let bytes = 0;
      for (let i = first; i < first + count; i++) {
        const rule = decode(k, at.bodies + i * SLOT_BYTES, lengths[i]!, at.target + i * PAGE_BYTES);
        assert(rule === 0);
        bytes += lengths[i]!;
      }
      return bytes;
    },
    check(k, at) {
      for (let i = 0; i < at.pages; i++) {
        assert.equal(k.comparePages(at.page + i * PAGE_BYTES, at.target + i * PAGE_BYTES), PAGE_BYTES);
      }
    },
  };
}

const delta: Encode = (k, base, page, out, outMax) => k.deltaEncode(base, page, out, outMax);
const sparse: Encode = (k, _base, page, out, outMax) => k.sparseEncode(page, out, outMax);
const wkdm: Encode = (k, _base, page, out, outMax) => k.wkdmEncode(page, out, outMax);

const KERNELS: readonly Kernel[] = [
  batch("zero test", "zero", (k, count) => k.zeroPages(count), 0.8),
  batch("zero test", "random", (k, count) => k.zeroPages(count), 0.8),
  batch("count of zero bytes", "random", (k, count) => k.countZeroBytes(count)),
  {
    name: "compare",
    contents: "equal",
    run(k, at, first, count) {
      for (let i = first; i < first + count; i++) {
        const offset = i * PAGE_BYTES;
        assert(k.comparePages(at.base + offset, at.page + offset) === PAGE_BYTES);
      }
      return 0;
    },
  },
  encoder("delta", "few words changed", delta, 0.15),
  encoder("delta", "every counter changed", delta, 0.15),
  encoder("delta", "text rewritten", delta, 0.15),
  encoder("delta", "random", delta, 0.15),
  decoder("delta", "few words changed", delta, (k, body, bytes, page) =>
    k.deltaDecode(body, bytes, page, page),
  ),
  decoder("delta", "every counter changed", delta, (k, body, bytes, page) =>
    k.deltaDecode(body, bytes, page, page),
  ),
  encoder("sparse", "mostly zero", sparse),
  decoder("sparse", "mostly zero", sparse, (k, body, bytes, page) => k.sparseDecode(body, bytes, page)),
  encoder("wkdm", "pointers", wkdm, 0.03),
  encoder("wkdm", "random", wkdm, 0.03),
  decoder("wkdm", "pointers", wkdm, (k, body, bytes, page) => k.wkdmDecode(body, bytes, page)),
];

/** The pages of a set, batch by batch, again and again, until `total` bytes are done. Returns the bytes of all bodies. */
function runOver(k: PageKernels, kernel: Kernel, at: Places, total: number): number {
  let bodyBytes = 0;
  for (let left = total / PAGE_BYTES; left > 0; ) {
    for (let first = 0; first < at.pages && left > 0; first += BATCH_PAGES_MAX) {
      const count = Math.min(BATCH_PAGES_MAX, at.pages - first, left);
      bodyBytes += kernel.run(k, at, first, count);
      left -= count;
    }
  }
  return bodyBytes;
}

function measure(k: PageKernels, kernel: Kernel, effort: Effort, setBytes: number): Figure {
  const at: Places = {
    base: k.freeStart,
    page: k.freeStart + setBytes,
    target: k.freeStart + 2 * setBytes,
    bodies: k.freeStart + 3 * setBytes,
    pages: setBytes / PAGE_BYTES,
  };
  fillPages(k.bytes, at, kernel.contents);
  kernel.prepare?.(k, at);
  // Each page once.
  const bodyBytes = runOver(k, kernel, at, setBytes);
  kernel.check?.(k, at);
  const { roundBytes } = effort;
  const figure = beside(
    `${kernel.name}, ${kernel.contents}, ${setBytes / 1024} KiB`,
    effort,
    roundBytes,
    () => void runOver(k, kernel, at, roundBytes),
    () => copyPages(k.bytes, at.page, at.target, setBytes, roundBytes),
  );
  const { aim } = kernel;
  const notes = [
    ...(aim === undefined ? [] : [aimNote(aim, figure.ofCopy)]),
    ...(bodyBytes === 0 ? [] : [`${Math.round(bodyBytes / at.pages)} bytes a page`]),
  ];
  return { ...figure, note: notes.join("; ") };
}

/** Of each kernel by working set. */
export function encodingFigures(full: Effort): Figure[] {
  const roundBytes = Math.min(full.roundBytes, ROUND_BYTES_MAX);
  const effort = { ...full, roundBytes };
  const largeBytes = Math.min(full.largeBytes, ROUND_BYTES_MAX);
  const k = loadKernels({ memoryBytes: 4 * largeBytes + MIB });
  return [SMALL_BYTES, largeBytes].flatMap((setBytes) =>
    KERNELS.map((kernel) => measure(k, kernel, effort, setBytes)),
  );
}
