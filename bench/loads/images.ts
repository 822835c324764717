import { artefacts, type LoadArtefacts } from "../../lab/setup/mod.ts";
import { GodwitError } from "../../src/errors/mod.ts";

/** The lab guest as it is. */
export function baseInitrd(): string {
  return artefacts().initrd;
}

/**
 * The lab guest with this load in it.
 * @throws SETUP_MISSING when set-up has not made it
 */
export function initrdOf(load: string): string {
  return images().initrds[load] ?? missing(load);
}

/** The disk that fills a page cache; read-only. */
export function diskOfLoads(): string {
  return images().disk;
}

function images(): LoadArtefacts {
  return artefacts().loads ?? missing("the loads");
}

function missing(what: string): never {
  throw new GodwitError("SETUP_MISSING", {
    path: `guest images of ${what} (npm run setup -- --bench, on Debian bookworm)`,
  });
}
