/**
 * What the page engine's encoder and decoder cost per page, with everything they do: choice, comparing, entries, records,
 * the store's copy. Without the digest's hash and without zstd. Pages are made up, as in encodings.ts.
 */
import assert from "node:assert/strict";
import { loadKernels, PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import {
  ENGINES,
  HashedIndex,
  Offer,
  PageDecoder,
  PageEncoder,
  PageNumbers,
  SlottedStore,
} from "../../src/pages/mod.ts";
import { PAGES_BODY_BYTES_MAX, PAGES_OUTPUT_BYTES_MAX } from "../../src/wire/mod.ts";
import { beside, copyPages, type Effort, type Figure } from "./figures.ts";
import { type Contents, fillPages } from "./kernelPages.ts";

const MIB = 2 ** 20;
const SET_BYTES = 4 * MIB;
const PAGES = SET_BYTES / PAGE_BYTES;
/** Two sweeps of pages as they are, and entries' heads. */
const BATCHES_BYTES = 2 * SET_BYTES + MIB;

/** Where things stand in both memories; batches only at the target. */
const BASE = MIB;
const PAGE = BASE + SET_BYTES;
const STORE = PAGE + SET_BYTES;
const BODY = STORE + SET_BYTES;
const OUT = BODY + MIB;
const BATCHES = OUT + MIB;
const MEMORY_BYTES = BATCHES + BATCHES_BYTES;

interface Case {
  readonly form: string;
  readonly contents: Contents;
  /** Without a store each version is a new page; with one, two versions follow each other again and again. */
  readonly store: boolean;
  readonly packed: boolean;
}

const CASES: readonly Case[] = [
  { form: "unchanged", contents: "equal", store: true, packed: true },
  { form: "delta", contents: "few words changed", store: true, packed: true },
  { form: "delta", contents: "every counter changed", store: true, packed: true },
  { form: "sparse", contents: "mostly zero", store: false, packed: true },
  { form: "wkdm", contents: "pointers", store: false, packed: false },
  { form: "raw", contents: "random", store: true, packed: true },
  { form: "raw", contents: "random", store: false, packed: true },
];

interface Batch {
  readonly at: number;
  readonly bytes: number;
  readonly entries: number;
  readonly repair: false;
}

const NUMBERS = new PageNumbers([{ index: 0, name: "pc.ram", bytes: SET_BYTES }]);

function storeOf(kernels: PageKernels, { store }: Case): SlottedStore {
  return new SlottedStore(kernels, { start: STORE, bytes: store ? SET_BYTES : 0 }, NUMBERS.total);
}

/** Offers the set's pages, all of one version; `finished` is told each batch. */
function encodeSweep(
  encoder: PageEncoder,
  version: number,
  packed: boolean,
  finished: (bytes: number, entries: number) => void,
): void {
  const end = (): void => {
    if (encoder.entries === 0) return;
    const { bytes, entries } = encoder.finish();
    finished(bytes, entries);
  };
  encoder.begin(BODY, PAGES_BODY_BYTES_MAX, packed);
  for (let page = 0; page < PAGES; page++) {
    const address = version + page * PAGE_BYTES;
    // A hash that no other page has: the digest's is made elsewhere.
    if (encoder.add(page, address, page, version) !== Offer.full) continue;
    end();
    encoder.begin(BODY, PAGES_BODY_BYTES_MAX, packed);
    encoder.add(page, address, page, version);
  }
  end();
}

/** Encoding, and decoding of what it made. */
function measure(one: Case, effort: Effort, roundBytes: number): Figure[] {
  const source = loadKernels({ memoryBytes: MEMORY_BYTES });
  const target = loadKernels({ memoryBytes: MEMORY_BYTES });
  fillPages(source.bytes, { base: BASE, page: PAGE, pages: PAGES }, one.contents);
  const store = storeOf(source, one);
  const encoder = new PageEncoder(source, store, new HashedIndex(store.slots), ENGINES.auto, NUMBERS);
  const versions = one.store ? [BASE, PAGE] : [PAGE, PAGE];
  const sweeps = Math.ceil(roundBytes / (2 * SET_BYTES));
  const bytes = sweeps * 2 * SET_BYTES;

  // The first sweep makes the bases, two more the batches that bring the target from one version to the other and back.
  const batches: Batch[] = [];
  let end = BATCHES;
  const keep = (bodyBytes: number, entries: number): void => {
    target.bytes.set(source.bytes.subarray(BODY, BODY + bodyBytes), end);
    batches.push({ at: end, bytes: bodyBytes, entries, repair: false });
    end += bodyBytes;
  };
  let pages = 0;
  const told = (): void => {
    pages++;
  };
  const decoder = new PageDecoder(target, storeOf(target, one), NUMBERS, {
    page: told,
    zero: told,
    missing: (page) => assert.fail(`the base of page ${page} is lacking`),
  });
  const decodeAll = (): void => {
    for (const batch of batches) decoder.decode(batch, OUT, PAGES_OUTPUT_BYTES_MAX, undefined);
  };
  if (one.store) {
    encodeSweep(encoder, PAGE, one.packed, keep);
    decodeAll();
    batches.length = 0;
    end = BATCHES;
  }
  for (const version of versions) encodeSweep(encoder, version, one.packed, keep);

  const name = (what: string): string =>
    `${what}, ${one.form} (${one.contents})${one.store ? "" : ", no store"}`;
  // Into places that this side does not use.
  const copy = (): void => copyPages(source.bytes, BASE, BATCHES, SET_BYTES, bytes);
  const encode = (): void => {
    for (let i = 0; i < sweeps; i++)
      for (const version of versions) encodeSweep(encoder, version, one.packed, () => {});
  };
  const note = `${Math.round((end - BATCHES) / (2 * PAGES))} bytes a page`;
  const copyAside = (): void => copyPages(target.bytes, BASE, PAGE, SET_BYTES, bytes);
  const figures: Figure[] = [];
  if (batches.length > 0) {
    const decode = (): void => {
      for (let i = 0; i < sweeps; i++) decodeAll();
    };
    figures.push(beside(name("decode"), effort, bytes, decode, copyAside));
    assert(pages >= 2 * PAGES * sweeps, "not all pages were decoded");
  }
  figures.unshift({ ...beside(name("encode"), effort, bytes, encode, copy), note });
  return figures;
}

/** Of encoder and decoder by form. */
export function engineFigures(full: Effort): Figure[] {
  const roundBytes = Math.min(full.roundBytes, 48 * MIB);
  return CASES.flatMap((one) => measure(one, full, roundBytes));
}
