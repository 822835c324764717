import { existsSync, readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";
import { cacheDir } from "./cache.ts";
import type { LoadArtefacts } from "./loads.ts";

export interface QemuArtefact {
  /** Such as `7.2.22`. */
  readonly version: string;
  /** A path, or a name on the PATH. */
  readonly binary: string;
  /** Arguments that every start of it needs, such as `-L FOLDER`. */
  readonly args: readonly string[];
}

/** What set-up has prepared outside the checkout. */
export interface Artefacts {
  readonly cacheDir: string;
  /** The lab guest's kernel, a bzImage. */
  readonly kernel: string;
  readonly initrd: string;
  /** The system's QEMU first; with `npm run setup -- --bench` on Debian bookworm a newer one, too. */
  readonly qemus: readonly QemuArtefact[];
  /** Of the bench, with `npm run setup -- --bench`; null without it, and on systems other than Debian bookworm. */
  readonly loads: LoadArtefacts | null;
}

const MANIFEST_VERSION = 1;

function manifestPath(): string {
  return join(cacheDir(), "manifest.json");
}

/**
 * What set-up has prepared.
 * @throws SETUP_MISSING when set-up has not run, or what it prepared is gone
 */
export function artefacts(): Artefacts {
  const path = manifestPath();
  if (!existsSync(path)) throw new GodwitError("SETUP_MISSING", { path });
  const { version, ...found } = JSON.parse(readFileSync(path, "utf8")) as Artefacts & { version: number };
  if (version !== MANIFEST_VERSION) throw new GodwitError("SETUP_MISSING", { path });
  const loads = found.loads ?? null; // set-ups of before the bench do not name it
  const ofLoads = loads === null ? [] : [...Object.values(loads.initrds), loads.disk];
  const files = [found.kernel, found.initrd, ...ofLoads, ...found.qemus.map((qemu) => qemu.binary)];
  const gone = files.find((file) => file.includes("/") && !existsSync(file));
  if (gone !== undefined) throw new GodwitError("SETUP_MISSING", { path: gone });
  return { ...found, loads };
}

/** Records what set-up has prepared; last of all, and in one step. */
export async function writeManifest(found: Artefacts): Promise<void> {
  const temporary = `${manifestPath()}.${process.pid}.tmp`;
  await writeFile(temporary, `${JSON.stringify({ version: MANIFEST_VERSION, ...found }, null, 2)}\n`);
  await rename(temporary, manifestPath());
}
