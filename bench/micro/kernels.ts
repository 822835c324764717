/**
 * How fast the page kernels are, in two working sets: one that fits the cache (pages just read from a socket are there)
 * and one far larger than it. Last, what the digest adds to the hash of each page.
 */
import { BATCH_PAGES_MAX, loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { PageDigest } from "../../src/pages/mod.ts";
import { aimNote, beside, copyPages, type Effort, type Figure } from "./figures.ts";

const SMALL_BYTES = 256 * 1024;
/** Smallest ratio to a copy that we want. */
const HASH_AIM = 0.3;

/** Of the hash by working set, and of the digest. */
export function kernelFigures(effort: Effort): Figure[] {
  const { roundBytes, largeBytes } = effort;
  const kernels = loadKernels({ memoryBytes: 2 * largeBytes + 2 ** 20 });
  const from = kernels.freeStart;
  const to = from + largeBytes;
  for (let i = from; i < to; i++) kernels.bytes[i] = (i * 2654435761) >>> 24;
  const copy = (length: number) => copyPages(kernels.bytes, from, to, length, roundBytes);
  const hashes = [SMALL_BYTES, largeBytes].map((length) => {
    const figure = beside(
      `hash, ${length / 1024} KiB`,
      effort,
      roundBytes,
      () => hashPages(kernels, from, length, roundBytes),
      () => copy(length),
    );
    return { ...figure, note: aimNote(HASH_AIM, figure.ofCopy) };
  });
  return [...hashes, digestFigure(effort, () => copy(largeBytes))];
}

function hashPages(kernels: PageKernels, at: number, length: number, total: number): void {
  for (let done = 0; done < total; ) {
    for (let base = 0; base < length && done < total; base += BATCH_PAGES_MAX * PAGE_BYTES) {
      const pages = Math.min(BATCH_PAGES_MAX, (length - base) / PAGE_BYTES);
      for (let i = 0; i < pages; i++) kernels.addresses[i] = at + base + i * PAGE_BYTES;
      kernels.hashPages(pages);
      done += pages * PAGE_BYTES;
    }
  }
}

/** Updates of pages that were all seen before, the dearer case: the old part is subtracted. */
function digestFigure(effort: Effort, copy: () => void): Figure {
  const pages = effort.roundBytes / PAGE_BYTES;
  const digest = new PageDigest({ lo: 1, hi: 2 });
  digest.setBlocks([{ index: 0, name: "pc.ram", bytes: effort.roundBytes }]);
  let round = 0;
  const update = (): void => {
    round++;
    for (let i = 0; i < pages; i++) digest.update(0, i, Math.imul(i + round, 0x9e3779b1) >>> 0, i);
  };
  const figure = beside("digest", effort, effort.roundBytes, update, copy);
  return { ...figure, note: `${((PAGE_BYTES * 1e9) / figure.bytesPerSec).toFixed(1)} ns a page` };
}
