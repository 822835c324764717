import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { cpioArchive } from "../guest/mod.ts";
import { cacheDir, cachedFolder } from "./cache.ts";
import { say } from "./exec.ts";
import { writeDisk } from "./loadDisk.ts";
import { LAYER_NAMES, layerEntries } from "./loadLayers.ts";
import { loadPackages } from "./loadPackages.ts";

/** What the loads of the bench need of set-up. */
export interface LoadArtefacts {
  /** By the name of a load: the lab guest's initrd with that load in it. */
  readonly initrds: Readonly<Record<string, string>>;
  /** A raw disk, never written. */
  readonly disk: string;
}

/**
 * The images of the bench's loads: the lab guest's initrd with one layer each, for Linux unpacks archives that follow
 * each other (Documentation/driver-api/early-userspace/buffer-format.rst). Null where the packages cannot be had.
 * @param base  the lab guest's initrd
 * @param options.fetch  false: only when an earlier set-up made them
 */
export async function loadImages(
  base: string,
  options: { readonly fetch: boolean },
): Promise<LoadArtefacts | null> {
  const packages = await loadPackages(options);
  if (packages === null) {
    if (options.fetch) say("the bench's loads are made of Debian bookworm's packages: none of them here");
    return null;
  }
  const name = `loads-${await inputsKey([base, packages])}`;
  if (!options.fetch && !existsSync(join(cacheDir(), name))) return null;
  const folder = await cachedFolder(name, async (temporary) => {
    say(`building guests for the bench: ${LAYER_NAMES.join(", ")}`);
    const guest = await readFile(base);
    for (const layer of LAYER_NAMES) {
      const archive = gzipSync(cpioArchive(await layerEntries(layer, packages)));
      await writeFile(join(temporary, layer), Buffer.concat([guest, archive]));
    }
  });
  const initrds = Object.fromEntries(LAYER_NAMES.map((layer) => [layer, join(folder, layer)]));
  return { initrds, disk: await disk() };
}

/** In a folder of its own, for it is large and changes with nothing else. */
async function disk(): Promise<string> {
  const source = await readFile(join(import.meta.dirname, "loadDisk.ts"));
  const key = createHash("sha256").update(source).digest("hex").slice(0, 16);
  const folder = await cachedFolder(`loads-disk-${key}`, (temporary) => writeDisk(join(temporary, "disk")));
  return join(folder, "disk");
}

/** Our sources by content, the other parts by their paths, which have their own keys in them. */
async function inputsKey(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(paths.join("\n"));
  const sources = join(import.meta.dirname, "..", "guest", "loads");
  const own = (await readdir(import.meta.dirname)).filter((file) =>
    /^(load(s|Layers|Units)|elf)\.ts$/.test(file),
  );
  for (const file of [
    ...(await readdir(sources)).sort().map((file) => join(sources, file)),
    ...own.sort().map((file) => join(import.meta.dirname, file)),
  ])
    hash.update(`${basename(file)}\n`).update(await readFile(file));
  return hash.digest("hex").slice(0, 16);
}
