import type { QemuArtefact } from "../../lab/mod.ts";
import { mayUsePostcopy } from "../../src/migration/mod.ts";
import { PUSH_ORDERS, type PushOrderName } from "../../src/paging/mod.ts";
import { postcopyObstacle } from "../../src/qemu/mod.ts";
import type { GodwitSystem } from "./types.ts";

const MIB = 2 ** 20;
const obstacles = new Map<string, Promise<string | null>>();

function noPostcopy(qemu: QemuArtefact): Promise<string | null> {
  const key = JSON.stringify([qemu.binary, qemu.args]);
  let known = obstacles.get(key);
  if (known === undefined) {
    known = postcopyObstacle(qemu);
    known.catch(() => obstacles.delete(key)); // whoever asked gets the error
    obstacles.set(key, known);
  }
  return known;
}

/** `order` is what is added to the order of a move: a system more is a line more below. */
function godwit(name: string, about: string, order: GodwitSystem["order"]): GodwitSystem {
  const { strategy = "precopy", onTimeout = "abort" } = order;
  return {
    name: `godwit-${name}`,
    about: `Godwit's agents and relays, ${about}`,
    family: "godwit",
    order,
    lacks: async (qemu) => (mayUsePostcopy({ strategy, onTimeout }) ? noPostcopy(qemu) : null),
  };
}

function engine(name: NonNullable<GodwitSystem["order"]["engine"]>, about: string): GodwitSystem {
  return godwit(name, about, { strategy: "precopy", engine: name });
}

/** What each order pushes that the guest has not asked for. `auto` is `godwit-postcopy`. */
const ORDERS: Readonly<Record<Exclude<PushOrderName, "auto">, string>> = {
  demand: "nothing is pushed while the guest asks",
  linear: "pages are pushed from the first to the last",
  forward: "pages are pushed upwards from the newest request",
  bubble: "pages are pushed in both directions from the newest request",
  bubbles: "pages are pushed in both directions from several requests",
};

function pushOrders(): GodwitSystem[] {
  return PUSH_ORDERS.flatMap((pushOrder) =>
    pushOrder === "auto"
      ? []
      : godwit(`postcopy-${pushOrder}`, `post-copy from the start, ${ORDERS[pushOrder]}.`, {
          strategy: "postcopy",
          pushOrder,
        }),
  );
}

export const GODWIT_SYSTEMS: readonly GodwitSystem[] = [
  godwit("precopy", "pre-copy, page engine auto.", { strategy: "precopy" }),
  godwit("stop-and-copy", "the guest stopped first, page engine auto.", { strategy: "stop-and-copy" }),
  {
    ...godwit("postcopy", "post-copy from the start, push order auto.", { strategy: "postcopy" }),
    alias: "godwit-postcopy-auto",
  },
  godwit("hybrid", "pre-copy, and post-copy where that does not pay.", { strategy: "hybrid" }),
  ...pushOrders(),
  engine("plain", "pre-copy without a page engine: QEMU's records as they come."),
  godwit("auto-16m", "pre-copy, page engine auto with a page store of 16 MiB.", {
    strategy: "precopy",
    pageCacheBytes: 16 * MIB,
  }),
  godwit(
    "unhinted",
    "pre-copy, page engine auto, post-copy prepared for the time limit: with that QEMU asks no guest for hints.",
    { strategy: "precopy", onTimeout: "postcopy" },
  ),
  godwit("balloon", "pre-copy, page engine auto; the balloon first takes what the guest does not need.", {
    strategy: "precopy",
    balloon: true,
  }),
  engine("clark", "pre-copy, rapid page dirtying as Clark et al. 2005 [6]."),
  engine("mecom", "pre-copy, compression by a page's kind as Jin et al. 2009 [12]."),
  engine("xbrle", "pre-copy, deltas and weight order as Svard et al. 2011 [13]."),
  engine("reuse", "pre-copy, order by reuse distance as Alamdari and Zamanifar 2012 [20]."),
];
