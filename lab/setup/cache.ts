import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** The folder of everything that set-up fetches or builds outside the checkout. */
export function cacheDir(): string {
  const base = process.env["XDG_CACHE_HOME"];
  return join(base ? base : join(homedir(), ".cache"), "godwit");
}

/**
 * The folder `name` in the cache, made by `fill` when it is not there yet. It appears whole or not at all: `fill`
 * works in a temporary folder that is renamed when it succeeds. Of two set-ups at the same time one wins.
 */
export async function cachedFolder(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheDir(), name);
  if (existsSync(folder)) return folder;
  await mkdir(cacheDir(), { recursive: true });
  await removeLeftovers();
  const temporary = await mkdtemp(join(cacheDir(), `.half-${process.pid}-`));
  try {
    await fill(temporary);
    await rename(temporary, folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error; // else another set-up was faster
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** Half-filled folders of set-ups that were killed. */
async function removeLeftovers(): Promise<void> {
  for (const entry of await readdir(cacheDir())) {
    const pid = /^\.half-(\d+)-/.exec(entry)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      await rm(join(cacheDir(), entry), { recursive: true, force: true });
  }
}
