/** Guests as sequences of written pages: what a policy can foretell differs between them. */
import { seededRandom } from "../../src/bench/mod.ts";

export interface GuestModel {
  readonly name: string;
  readonly writesPerSec: number;
  /** The page of the next write. The same seed gives the same pages. */
  writer(seed: number): () => number;
}

/** 256 MiB, of which 64 MiB are written to. */
export const GUEST_PAGES = 65_536;
const SET_PAGES = 16_384;
const SET_START = 20_000;
/** Hot pages lie scattered, as a guest's memory does: an odd factor spreads them one to one over a power of two. */
const scattered = (i: number): number =>
  SET_START + ((Math.imul(i, 0x9e35) & (SET_PAGES - 1)) ^ ((i >> 7) & 63));
const within = (random: () => number, from: number, to: number): number =>
  from + Math.floor(random() * (to - from));

function uniform(writesPerSec: number): GuestModel {
  return {
    name: `uniform, ${writesPerSec}/s`,
    writesPerSec,
    writer: (seed) => {
      const random = seededRandom(seed);
      return () => SET_START + within(random, 0, SET_PAGES);
    },
  };
}

/** So many percent of the writes go to so many pages. */
function hot(writesPerSec: number, percent: number, pages: number): GuestModel {
  return {
    name: `hot ${percent} % to ${pages} pages, ${writesPerSec}/s`,
    writesPerSec,
    writer: (seed) => {
      const random = seededRandom(seed);
      return () =>
        scattered(random() * 100 < percent ? within(random, 0, pages) : within(random, pages, SET_PAGES));
    },
  };
}

/** Goes through its set from start to end, over and over. */
function sequential(writesPerSec: number): GuestModel {
  return {
    name: `sequential, ${writesPerSec}/s`,
    writesPerSec,
    writer: () => {
      let at = 0;
      return () => SET_START + (at++ % SET_PAGES);
    },
  };
}

export const GUESTS: readonly GuestModel[] = [
  uniform(2000),
  uniform(12_000),
  sequential(2000),
  sequential(12_000),
  hot(4000, 90, 200),
  hot(4000, 90, 1600),
  hot(12_000, 90, 200),
  hot(12_000, 90, 700),
  hot(12_000, 97, 850),
  hot(12_000, 90, 1600),
  hot(12_000, 99, 1600),
];
