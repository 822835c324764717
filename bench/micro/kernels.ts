/**
 * Goal: how fast each page kernel is, as a ratio to a plain copy of the same pages in the same run, so that figures of
 * different machines can be compared.
 * Method: two working sets, one that fits the cache (pages just read from a socket are there) and one far larger. Rounds
 * of kernel and copy alternate; printed is the median of the ratios of neighbouring rounds, and medians of the rates.
 * What a decoder gives is compared with the page.
 * Non-goal: how well pages of real guests compress; the bytes per page shown are those of made-up pages.
 *
 * node bench/micro/kernels.ts [--json] [--tiny]
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { BATCH_PAGES_MAX, loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { PageDigest } from "../../src/pages/mod.ts";
import { type Contents, fillPages } from "./kernelPages.ts";

const MIB = 2 ** 20;
const { values } = parseArgs({
  options: { json: { type: "boolean", default: false }, tiny: { type: "boolean", default: false } },
});
const ROUNDS = values.tiny ? 3 : 9;
/** Bytes per measured round: long enough for the clock, short enough for a shared machine. */
const ROUND_BYTES = (values.tiny ? 2 : 48) * MIB;
const SETS_BYTES = [256 * 1024, (values.tiny ? 2 : 48) * MIB];
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
  batch("hash", "random", (k, count) => k.hashPages(count), 0.3),
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

interface Result {
  readonly kernel: string;
  readonly contents: Contents;
  readonly workingSetBytes: number;
  readonly bytesPerSec: number;
  readonly copyBytesPerSec: number;
  /** Median over neighbouring rounds of kernel and copy. */
  readonly ratio: number;
  readonly aim?: number;
  /** Mean over the pages; 0 for a kernel that makes none, and for pages that are not worth one. */
  readonly bodyBytesPerPage: number;
}

/** Copies page by page: what moving the pages once more would cost. */
function copyPages(k: PageKernels, at: Places, first: number, count: number): void {
  for (let i = first; i < first + count; i++) {
    const from = at.page + i * PAGE_BYTES;
    k.bytes.set(k.bytes.subarray(from, from + PAGE_BYTES), at.target + i * PAGE_BYTES);
  }
}

/** Nanoseconds for ROUND_BYTES, batch by batch, over the working set again and again. */
function roundNs(pages: number, run: (first: number, count: number) => void): number {
  const start = process.hrtime.bigint();
  for (let done = 0; done < ROUND_BYTES / PAGE_BYTES; ) {
    for (let first = 0; first < pages && done < ROUND_BYTES / PAGE_BYTES; first += BATCH_PAGES_MAX) {
      const count = Math.min(BATCH_PAGES_MAX, pages - first);
      run(first, count);
      done += count;
    }
  }
  return Number(process.hrtime.bigint() - start);
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;

function measure(k: PageKernels, kernel: Kernel, workingSetBytes: number): Result {
  const at: Places = {
    base: k.freeStart,
    page: k.freeStart + workingSetBytes,
    target: k.freeStart + 2 * workingSetBytes,
    bodies: k.freeStart + 3 * workingSetBytes,
    pages: workingSetBytes / PAGE_BYTES,
  };
  fillPages(k.bytes, at, kernel.contents);
  kernel.prepare?.(k, at);
  const kernelNs: number[] = [];
  const copyNs: number[] = [];
  let bodyBytes = 0;
  // The first rounds are slower: the engine still compiles. Left out.
  for (let round = -2; round < ROUNDS; round++) {
    bodyBytes = 0;
    const ns = roundNs(at.pages, (first, count) => {
      bodyBytes += kernel.run(k, at, first, count);
    });
    if (round === -2) kernel.check?.(k, at);
    const copied = roundNs(at.pages, (first, count) => copyPages(k, at, first, count));
    if (round < 0) continue;
    kernelNs.push(ns);
    copyNs.push(copied);
  }
  return {
    kernel: kernel.name,
    contents: kernel.contents,
    workingSetBytes,
    bytesPerSec: (ROUND_BYTES * 1e9) / median(kernelNs),
    copyBytesPerSec: (ROUND_BYTES * 1e9) / median(copyNs),
    ratio: median(kernelNs.map((ns, i) => copyNs[i]! / ns)),
    ...(kernel.aim === undefined ? {} : { aim: kernel.aim }),
    bodyBytesPerPage: bodyBytes / (ROUND_BYTES / PAGE_BYTES),
  };
}

/** Nanoseconds per update of pages that were all seen before, the dearer case: the old part is subtracted. */
function digestNsPerPage(): number {
  const pages = 2 ** (values.tiny ? 14 : 18);
  const digest = new PageDigest({ lo: 1, hi: 2 });
  digest.setBlocks([{ index: 0, name: "pc.ram", bytes: pages * PAGE_BYTES }]);
  const rounds: number[] = [];
  for (let round = -2; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < pages; i++) digest.update(0, i, Math.imul(i + round, 0x9e3779b1) >>> 0, i);
    if (round >= 0) rounds.push(Number(process.hrtime.bigint() - start) / pages);
  }
  return median(rounds);
}

function show(result: Result): void {
  const gigabytes = (n: number): string => (n / 1e9).toFixed(2).padStart(6);
  const { ratio, aim, bodyBytesPerPage: body } = result;
  console.log(
    `${`${result.kernel}, ${result.contents}`.padEnd(38)}${gigabytes(result.bytesPerSec)} GB/s, copy` +
      `${gigabytes(result.copyBytesPerSec)}, ratio ${ratio.toFixed(2).padStart(5)}` +
      `${aim === undefined ? "" : ` (aim ${aim}${ratio < aim ? ", MISSED" : ""})`}` +
      `${body > 0 ? `, ${body.toFixed(0)} bytes a page` : ""}`,
  );
}

const kernels = loadKernels({ memoryBytes: 4 * Math.max(...SETS_BYTES) + MIB });
for (const workingSetBytes of SETS_BYTES) {
  if (!values.json) console.log(`Working set of ${workingSetBytes / 1024} KiB:`);
  for (const kernel of KERNELS) {
    const result = measure(kernels, kernel, workingSetBytes);
    if (values.json) console.log(JSON.stringify(result));
    else show(result);
  }
}
const nsPerPage = digestNsPerPage();
console.log(
  values.json ? JSON.stringify({ digestNsPerPage: nsPerPage }) : `digest: ${nsPerPage.toFixed(1)} ns a page`,
);
