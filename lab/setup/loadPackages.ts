import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { debianRelease, PrivateApt } from "./apt.ts";
import { cacheDir, cachedFolder } from "./cache.ts";
import { say } from "./exec.ts";

/**
 * What the bench's loads are made of: each program and the libraries it is linked with, by name. Not their dependencies
 * as packages, which bring a desktop along (stress-ng is linked with EGL).
 */
const PACKAGES = [
  ...["redis-tools", "redis-server", "libjemalloc2", "liblzf1", "libatomic1", "libsystemd0", "libstdc++6"],
  ...["libgcc-s1", "libcap2", "libgcrypt20", "libgpg-error0", "liblz4-1", "liblzma5", "libzstd1", "libssl3"],
  ...["nginx", "libcrypt1", "libpcre2-8-0", "zlib1g", "tcc", "libsqlite3-dev", "libc6"],
  ...["stress-ng", "libapparmor1", "libbsd0", "libmd0", "libegl1", "libglvnd0", "libgbm1", "libdrm2"],
  ...["libwayland-server0", "libffi8", "libexpat1", "libgles2", "libipsec-mb1", "libjpeg62-turbo"],
  ...["libjudydebian1", "libkmod2", "libsctp1", "libxxhash0"],
];

/**
 * The folder where the packages of the bench's loads are unpacked (nothing is installed). Null on a system that is not
 * Debian bookworm, whose names these are.
 * @param options.fetch  false: only when an earlier set-up fetched them
 */
export async function loadPackages(options: { readonly fetch: boolean }): Promise<string | null> {
  if ((await debianRelease()) !== "bookworm") return null;
  const name = `loads-debian-${createHash("sha256").update(PACKAGES.join()).digest("hex").slice(0, 16)}`;
  if (!options.fetch && !existsSync(join(cacheDir(), name))) return null;
  return cachedFolder(name, async (temporary) => {
    say("downloading redis, nginx, SQLite, tcc and stress-ng for the bench's guests into the cache (15 MB)");
    const apt = await PrivateApt.open("redis, nginx, SQLite, tcc and stress-ng of bookworm", {
      backports: false,
    });
    try {
      await apt.unpack(PACKAGES, temporary);
    } finally {
      await apt.close();
    }
  });
}
