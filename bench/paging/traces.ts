/** Guests as sequences of touched pages, one per vCPU: what an order of pushes can foretell differs between them. */
import { seededRandom } from "../../src/bench/mod.ts";

export interface Trace {
  readonly name: string;
  /** Of each vCPU, while no page is missing. */
  readonly touchesPerSec: number;
  /** Pages that it touches when it runs for long. */
  readonly setPages: number;
  /** Per vCPU the page of its next touch. The same seed gives the same pages. */
  vcpus(seed: number): readonly (() => number)[];
}

/** 256 MiB, of which 64 MiB are worked with unless a trace says otherwise. */
export const GUEST_PAGES = 65_536;
const SET_PAGES = 16_384;
const SET_START = 30_000;

const within = (random: () => number, from: number, to: number): number =>
  from + Math.floor(random() * (to - from));

/** Memory in chunks that lie anywhere in the guest: page cache, or a process's heap. */
function scattered(chunkPages: number, random: () => number): (page: number) => number {
  const places = Array.from({ length: GUEST_PAGES / chunkPages }, (_, i) => i);
  for (let last = places.length - 1; last > 0; last--) {
    const other = within(random, 0, last + 1);
    [places[last], places[other]] = [places[other]!, places[last]!];
  }
  return (page) => places[Math.floor(page / chunkPages)]! * chunkPages + (page % chunkPages);
}

/** From start to end of the set, over and over; with a stride, each time a page further. */
function reader(name: string, touchesPerSec: number, step: number, chunkPages = GUEST_PAGES): Trace {
  return {
    name,
    touchesPerSec,
    setPages: SET_PAGES,
    vcpus: (seed) => {
      const random = seededRandom(seed);
      const place = chunkPages < GUEST_PAGES ? scattered(chunkPages, random) : (i: number) => SET_START + i;
      const perRound = SET_PAGES / Math.abs(step);
      let at = 0;
      return [
        () => {
          const i = (at % perRound) * Math.abs(step) + (Math.floor(at / perRound) % Math.abs(step));
          at++;
          return place(step > 0 ? i : SET_PAGES - 1 - i);
        },
      ];
    },
  };
}

const random: Trace = {
  name: "random",
  touchesPerSec: 5000,
  setPages: SET_PAGES,
  vcpus: (seed) => {
    const random = seededRandom(seed);
    return [() => SET_START + within(random, 0, SET_PAGES)];
  },
};

/** Works in one of a few regions for a while, then in another. */
function regions(count: number, pages: number): Trace {
  return {
    name: `${count} hot regions`,
    touchesPerSec: 10_000,
    setPages: count * pages,
    vcpus: (seed) => {
      const random = seededRandom(seed);
      const place = scattered(pages, random);
      let region = 0;
      return [
        () => {
          if (random() < 0.02) region = within(random, 0, count);
          return place(region * pages + within(random, 0, pages));
        },
      ];
    },
  };
}

/** An index that every look-up goes through, rows anywhere, and now and then a scan of a part of the table. */
const database: Trace = {
  name: "database: index, rows, scans",
  touchesPerSec: 10_000,
  setPages: SET_PAGES,
  vcpus: (seed) => {
    const random = seededRandom(seed);
    const place = scattered(64, random);
    const indexPages = 512;
    const row = () => within(random, indexPages, SET_PAGES);
    let scanAt = 0;
    let scanLeft = 0;
    let touch = 0;
    return [
      () => {
        if (scanLeft > 0) {
          scanLeft--;
          return place(scanAt++ % SET_PAGES);
        }
        if (random() < 0.005) {
          scanLeft = within(random, 100, 1000);
          scanAt = row();
        }
        return place(++touch % 3 === 0 ? row() : within(random, 0, indexPages));
      },
    ];
  },
};

/** One short-lived process after the other: reads its program in pieces, then works in a heap of its own. */
const build: Trace = {
  name: "build: many processes",
  touchesPerSec: 20_000,
  setPages: SET_PAGES,
  vcpus: (seed) => {
    const random = seededRandom(seed);
    const place = scattered(64, random);
    const programPages = 4096;
    const process = (): (() => number) => {
      let left = 0;
      let heap = programPages;
      let heapTop = 0;
      let pieceAt = 0;
      let pieceLeft = 0;
      return () => {
        if (left-- <= 0) {
          left = within(random, 1000, 4000);
          heap = within(random, programPages, SET_PAGES - 512);
          heapTop = 1;
        }
        if (pieceLeft > 0) {
          pieceLeft--;
          return place(pieceAt++);
        }
        if (random() < 0.05) {
          pieceLeft = within(random, 2, 24);
          pieceAt = within(random, 0, programPages - 32);
        }
        if (heapTop < 512 && random() < 0.3) heapTop++;
        return place(heap + within(random, Math.max(0, heapTop - 64), heapTop));
      };
    };
    return [process(), process()];
  },
};

/** Several vCPUs, each with a part of the set that it reads on and on; the last one reads anywhere if `oneAnywhere`. */
function readers(name: string, count: number, oneAnywhere: boolean, downwards = 0): Trace {
  const part = SET_PAGES / count;
  return {
    name,
    touchesPerSec: 5000,
    setPages: SET_PAGES,
    vcpus: (seed) => {
      const random = seededRandom(seed);
      const place = scattered(part, random);
      return Array.from({ length: count }, (_, i) => {
        let at = within(random, 0, part);
        if (oneAnywhere && i === count - 1) return () => place(within(random, 0, SET_PAGES));
        if (i < downwards) return () => place(i * part + (part - 1 - (at++ % part)));
        return () => place(i * part + (at++ % part));
      });
    },
  };
}

export const TRACES: readonly Trace[] = [
  reader("sequential", 20_000, 1),
  reader("sequential, 5 times as fast", 100_000, 1),
  reader("sequential, downwards", 20_000, -1),
  reader("sequential, chunks of 64", 20_000, 1, 64),
  reader("stride of 16", 20_000, 16),
  random,
  regions(4, 1024),
  regions(16, 512),
  database,
  build,
  readers("4 readers", 4, false),
  readers("4 readers, 2 downwards", 4, false, 2),
  readers("16 readers", 16, false),
  readers("3 readers, 1 anywhere", 4, true),
];
