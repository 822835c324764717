import { availableParallelism } from "node:os";
import type { Cell } from "../../src/bench/mod.ts";
import type { StockRecipe } from "./types.ts";

const MIB = 2 ** 20;
/** Of the link, for the background part of a capped post-copy: the rest is for the pages that the guest waits for. */
const CAPPED_SHARE = 0.6;

/** The caps on post-copy's background; 0 is none. */
function capped(cell: Pick<Cell, "link">) {
  const { bytesPerSec } = cell.link;
  return { "max-postcopy-bandwidth": bytesPerSec === null ? 0 : Math.floor(bytesPerSec * CAPPED_SHARE) };
}

/** QEMU takes a power of two; the largest that is not above the guest's RAM holds (nearly) all that can be dirty. */
export function xbzrleCacheBytes(memoryMib: number): number {
  return 2 ** Math.floor(Math.log2(memoryMib)) * MIB;
}

/** One per core of this machine, from QEMU's default 2 to 4: source and target share the cores. */
export function multifdChannels(cores = availableParallelism()): number {
  return Math.min(4, Math.max(2, cores));
}

/** Stock QEMU as somebody drives it who knows what QEMU can do. */
export const RECIPES = {
  "stock-nozero": {
    capabilities: [],
    parameters: () => ({ "zero-page-detection": "none" }),
    postcopy: "never",
  },
  stock: { capabilities: [], parameters: () => ({}), postcopy: "never" },
  "stock-xbzrle": {
    capabilities: ["xbzrle"],
    parameters: ({ memoryMib }) => ({ "xbzrle-cache-size": xbzrleCacheBytes(memoryMib) }),
    postcopy: "never",
  },
  "stock-multifd-zstd": {
    capabilities: ["multifd"],
    parameters: () => ({
      "multifd-channels": multifdChannels(),
      "multifd-compression": "zstd",
      "multifd-zstd-level": 1,
    }),
    postcopy: "never",
  },
  "stock-postcopy": { capabilities: ["postcopy-ram"], parameters: () => ({}), postcopy: "atOnce" },
  "stock-postcopy-after-pass": {
    capabilities: ["postcopy-ram"],
    parameters: () => ({}),
    postcopy: "afterFirstPass",
  },
  "stock-postcopy-capped": {
    capabilities: ["postcopy-ram"],
    parameters: capped,
    postcopy: "atOnce",
  },
  "stock-postcopy-preempt": {
    capabilities: ["postcopy-ram", "postcopy-preempt"],
    parameters: capped,
    postcopy: "atOnce",
  },
} as const satisfies Record<string, StockRecipe>;

export type StockName = keyof typeof RECIPES;
