import type { QemuArtefact } from "../../lab/mod.ts";
import { tryOn } from "./ask.ts";
import { RECIPES, type StockName } from "./recipes.ts";
import type { StockSystem } from "./types.ts";

/** Settings are tried with those of a small guest on a link of no particular rate. */
const TRIED_WITH = { memoryMib: 128, link: { bytesPerSec: 1e6, latencyMs: 0, jitterMs: 0 } };

const NAMES = Object.keys(RECIPES) as StockName[];
/** Binary and arguments -> the reasons of all stock systems, by name. */
const asked = new Map<string, Promise<ReadonlyMap<string, string | null>>>();

/** One start of each QEMU answers for all of them. */
function reasons(qemu: QemuArtefact): Promise<ReadonlyMap<string, string | null>> {
  const key = JSON.stringify([qemu.binary, qemu.args]);
  let known = asked.get(key);
  if (known === undefined) {
    const trials = NAMES.map((name) => ({
      capabilities: RECIPES[name].capabilities,
      parameters: RECIPES[name].parameters(TRIED_WITH),
    }));
    known = tryOn(qemu, trials).then(
      (answers) => new Map(NAMES.map((name, i) => [name, answers[i] ?? null])),
    );
    known.catch(() => asked.delete(key)); // whoever asked gets the error; the next one may be luckier
    asked.set(key, known);
  }
  return known;
}

function stock(name: StockName, about: string, alias?: string): StockSystem {
  return {
    name,
    about,
    family: "stock",
    ...(alias !== undefined && { alias }),
    recipe: RECIPES[name],
    lacks: async (qemu) => (await reasons(qemu)).get(name) ?? null,
  };
}

const BASE = "Stock QEMU over TCP, return path, no bandwidth limit of its own";

export const STOCK_SYSTEMS: readonly StockSystem[] = [
  stock(
    "stock-nozero",
    `${BASE}, pre-copy; zero pages are sent whole (zero-page-detection none), as systems did that the literature compares with.`,
    "B0",
  ),
  stock("stock", `${BASE}, pre-copy.`, "B1"),
  stock(
    "stock-xbzrle",
    `${BASE}, pre-copy with XBZRLE; cache: the largest power of two within the guest's RAM.`,
    "B2",
  ),
  stock(
    "stock-multifd-zstd",
    `${BASE}, pre-copy with multifd, one channel per core from 2 to 4, zstd level 1.`,
    "B3",
  ),
  stock("stock-postcopy", `${BASE}, post-copy from the start.`, "B4"),
  stock(
    "stock-postcopy-after-pass",
    `${BASE}, post-copy after the first pass, as libvirt's --postcopy-after-precopy; a guest that converges within that pass does not need it.`,
  ),
  stock(
    "stock-postcopy-capped",
    `${BASE}, post-copy from the start; its background takes 60 % of the link's rate.`,
  ),
  stock(
    "stock-postcopy-preempt",
    `${BASE}, post-copy from the start; background at 60 % of the link's rate, requested pages on a channel of their own (postcopy-preempt).`,
  ),
];
