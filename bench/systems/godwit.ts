import type { QemuArtefact } from "../../lab/mod.ts";
import { mayUsePostcopy, type Strategy } from "../../src/migration/mod.ts";
import { postcopyObstacle } from "../../src/qemu/mod.ts";
import type { GodwitSystem } from "./types.ts";

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
function godwit(strategy: Strategy, about: string): GodwitSystem {
  return {
    name: `godwit-${strategy}`,
    about: `Godwit's agents and relays, ${about}`,
    family: "godwit",
    order: { strategy },
    lacks: async (qemu) => (mayUsePostcopy({ strategy, onTimeout: "abort" }) ? noPostcopy(qemu) : null),
  };
}

export const GODWIT_SYSTEMS: readonly GodwitSystem[] = [
  godwit("precopy", "pre-copy."),
  godwit("stop-and-copy", "the guest stopped first."),
  godwit("postcopy", "post-copy from the start."),
  godwit("hybrid", "post-copy after the first pass."),
];
