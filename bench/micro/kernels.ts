/**
 * How fast the page kernels are, against a plain copy of the same pages on the same machine.
 * `node bench/micro/kernels.ts [--json]`. Two working sets: one that fits the cache (pages just read from a socket are
 * there) and one far larger than it. Rounds of hash and copy alternate; the median of their rates is printed,
 * and the best round of each: on a shared machine that is the figure closest to what the processor can do.
 * Last, what the digest adds to the hash of each page.
 */
import { parseArgs } from "node:util";
import { BATCH_PAGES_MAX, loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { PageDigest } from "../../src/pages/mod.ts";

const ROUNDS = 15;
/** Bytes per measured round: long enough for the clock, short enough for a shared machine. */
const ROUND_BYTES = 192 * 2 ** 20;

interface Result {
  readonly workingSetBytes: number;
  readonly hashBytesPerSec: number;
  readonly copyBytesPerSec: number;
  /** Of the medians. */
  readonly ratio: number;
  readonly bestHashBytesPerSec: number;
  readonly bestCopyBytesPerSec: number;
}

function hashRound(kernels: PageKernels, at: number, bytes: number): void {
  for (let done = 0; done < ROUND_BYTES; ) {
    for (let base = 0; base < bytes && done < ROUND_BYTES; base += BATCH_PAGES_MAX * PAGE_BYTES) {
      const pages = Math.min(BATCH_PAGES_MAX, (bytes - base) / PAGE_BYTES);
      for (let i = 0; i < pages; i++) kernels.addresses[i] = at + base + i * PAGE_BYTES;
      kernels.hashPages(pages);
      done += pages * PAGE_BYTES;
    }
  }
}

/** Copies page by page: what moving the pages once more would cost. */
function copyRound(bytes: Uint8Array, from: number, to: number, length: number): void {
  for (let done = 0; done < ROUND_BYTES; ) {
    for (let base = 0; base < length && done < ROUND_BYTES; base += PAGE_BYTES) {
      bytes.set(bytes.subarray(from + base, from + base + PAGE_BYTES), to + base);
      done += PAGE_BYTES;
    }
  }
}

function bytesPerSec(round: () => void): number {
  const start = process.hrtime.bigint();
  round();
  return (ROUND_BYTES * 1e9) / Number(process.hrtime.bigint() - start);
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

function measure(kernels: PageKernels, workingSetBytes: number): Result {
  const from = kernels.freeStart;
  const to = from + workingSetBytes;
  for (let i = from; i < to; i++) kernels.bytes[i] = (i * 2654435761) >>> 24;
  const hash: number[] = [];
  const copy: number[] = [];
  // The first rounds are slower: the engine still compiles. Left out.
  for (let round = -2; round < ROUNDS; round++) {
    const hashed = bytesPerSec(() => hashRound(kernels, from, workingSetBytes));
    const copied = bytesPerSec(() => copyRound(kernels.bytes, from, to, workingSetBytes));
    if (round < 0) continue;
    hash.push(hashed);
    copy.push(copied);
  }
  const hashBytesPerSec = median(hash);
  const copyBytesPerSec = median(copy);
  return {
    workingSetBytes,
    hashBytesPerSec,
    copyBytesPerSec,
    ratio: hashBytesPerSec / copyBytesPerSec,
    bestHashBytesPerSec: Math.max(...hash),
    bestCopyBytesPerSec: Math.max(...copy),
  };
}

/** Nanoseconds per update of pages that were all seen before, the dearer case: the old part is subtracted. */
function digestNsPerPage(): number {
  const pages = 2 ** 18;
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

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const LARGE = 128 * 2 ** 20;
const kernels = loadKernels({ memoryBytes: 2 * LARGE + 2 ** 20 });
for (const workingSetBytes of [256 * 1024, LARGE]) {
  const result = measure(kernels, workingSetBytes);
  if (values.json) console.log(JSON.stringify(result));
  else {
    const gigabytes = (n: number): string => (n / 1e9).toFixed(2);
    console.log(
      `${workingSetBytes / 1024} KiB: hash ${gigabytes(result.hashBytesPerSec)} GB/s, copy ${gigabytes(result.copyBytesPerSec)} GB/s, ratio ${result.ratio.toFixed(2)} ` +
        `(best: hash ${gigabytes(result.bestHashBytesPerSec)}, copy ${gigabytes(result.bestCopyBytesPerSec)})`,
    );
  }
}
const nsPerPage = digestNsPerPage();
console.log(
  values.json ? JSON.stringify({ digestNsPerPage: nsPerPage }) : `digest: ${nsPerPage.toFixed(1)} ns a page`,
);
